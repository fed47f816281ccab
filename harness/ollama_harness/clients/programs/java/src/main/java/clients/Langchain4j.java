package clients;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.http.client.HttpClientBuilder;
import dev.langchain4j.http.client.jdk.JdkHttpClient;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.PartialThinking;
import dev.langchain4j.model.chat.response.PartialThinkingContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import dev.langchain4j.model.ollama.OllamaChatModel;
import dev.langchain4j.model.ollama.OllamaStreamingChatModel;
import java.net.http.HttpClient;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** The chat models of langchain4j-ollama: https://docs.langchain4j.dev/integrations/language-models/ollama */
final class Langchain4j implements Client<Langchain4j.Models> {
    record Models(OllamaStreamingChatModel streaming, OllamaChatModel blocking) {}

    @Override
    public String version() {
        return "1.11.0";
    }

    @Override
    public String yields() {
        return "piece";
    }

    @Override
    public Models session(Job job) {
        var streaming = OllamaStreamingChatModel.builder()
                .baseUrl(job.url())
                .timeout(job.readTimeout())
                .returnThinking(true);
        var blocking = OllamaChatModel.builder()
                .baseUrl(job.url())
                .timeout(job.readTimeout())
                .returnThinking(true);
        if (!job.trustEnv()) {
            streaming.httpClientBuilder(direct());
            blocking.httpClientBuilder(direct());
        }
        return new Models(streaming.build(), blocking.build());
    }

    private static HttpClientBuilder direct() {
        return JdkHttpClient.builder().httpClientBuilder(HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY));
    }

    @Override
    public void exchange(Job job, Models models, User user) throws Exception {
        var request = Langchain4jRequest.of(job);
        if (job.answer().equals("one")) {
            var response = models.blocking().chat(request);
            var message = response.aiMessage();
            if (message.thinking() != null) {
                user.takes(Map.of("thinking", message.thinking()));
            }
            if (message.text() != null) {
                user.takes(Map.of("text", message.text()));
            }
            for (var call : message.toolExecutionRequests()) {
                user.takes(piece(call));
            }
            takesEnd(user, response);
            return;
        }
        var over = new CompletableFuture<Optional<Throwable>>();
        models.streaming().chat(request, new Handler(user, over));
        var error = over.get();
        if (error.isPresent()) {
            throw (Exception) error.get();
        }
    }

    private static Map<String, Object> piece(ToolExecutionRequest call) {
        var piece = new LinkedHashMap<String, Object>();
        if (call.id() != null) {
            piece.put("id", call.id());
        }
        piece.put("name", call.name());
        piece.put("arguments", call.arguments());
        return Map.of("tool_call", piece);
    }

    private static void takesEnd(User user, ChatResponse response) {
        if (response.finishReason() != null) {
            user.takes(Map.of("finish_reason", response.finishReason().name().toLowerCase()));
        }
        var usage = response.tokenUsage();
        if (usage != null) {
            var piece = new LinkedHashMap<String, Integer>();
            piece.put("input", usage.inputTokenCount());
            piece.put("output", usage.outputTokenCount());
            user.takes(Map.of("usage", piece));
        }
    }

    /** Gives what the model calls back with to the user, and cancels when the user stops. */
    private record Handler(User user, CompletableFuture<Optional<Throwable>> over)
            implements StreamingChatResponseHandler {
        @Override
        public void onPartialResponse(PartialResponse part, PartialResponseContext context) {
            takes(Map.of("text", part.text()), context.streamingHandle());
        }

        @Override
        public void onPartialThinking(PartialThinking part, PartialThinkingContext context) {
            takes(Map.of("thinking", part.text()), context.streamingHandle());
        }

        @Override
        public void onCompleteToolCall(CompleteToolCall call) {
            user.takes(piece(call.toolExecutionRequest()));
        }

        @Override
        public void onCompleteResponse(ChatResponse response) {
            takesEnd(user, response);
            over.complete(Optional.empty());
        }

        @Override
        public void onError(Throwable error) {
            over.complete(Optional.of(error));
        }

        private void takes(Map<String, ?> piece, StreamingHandle handle) {
            user.canClose(handle::cancel);
            if (!user.takes(piece)) {
                handle.cancel();
                over.complete(Optional.empty());
            }
        }
    }
}
