package clients;

import dev.langchain4j.http.client.jdk.JdkHttpClient;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.PartialThinking;
import dev.langchain4j.model.chat.response.PartialThinkingContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import dev.langchain4j.model.ollama.OllamaStreamingChatModel;
import java.net.http.HttpClient;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/** The streaming chat model of langchain4j-ollama: https://docs.langchain4j.dev/integrations/language-models/ollama */
final class Langchain4j implements Client<OllamaStreamingChatModel> {
    @Override
    public String version() {
        return "1.11.0";
    }

    @Override
    public String yields() {
        return "piece";
    }

    @Override
    public OllamaStreamingChatModel session(Job job) {
        var builder = OllamaStreamingChatModel.builder()
                .baseUrl(job.url())
                .timeout(job.readTimeout())
                .returnThinking(true);
        if (!job.trustEnv()) {
            var direct = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY);
            builder.httpClientBuilder(JdkHttpClient.builder().httpClientBuilder(direct));
        }
        return builder.build();
    }

    @Override
    public void exchange(Job job, OllamaStreamingChatModel model, User user) throws Exception {
        ChatRequest request = Langchain4jRequest.of(job);
        var over = new CompletableFuture<Void>();
        model.chat(request, new Handler(user, over));
        try {
            over.get();
        } catch (ExecutionException error) {
            if (error.getCause() instanceof Exception cause) {
                throw cause;
            }
            throw error;
        }
    }

    /** Gives what the model calls back with to the user, and cancels when the user stops. */
    private record Handler(User user, CompletableFuture<Void> over) implements StreamingChatResponseHandler {
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
            var made = call.toolExecutionRequest();
            var piece = new LinkedHashMap<String, Object>();
            piece.put("index", call.index());
            if (made.id() != null) {
                piece.put("id", made.id());
            }
            piece.put("name", made.name());
            piece.put("arguments", made.arguments());
            takes(Map.of("tool_call", piece), null);
        }

        @Override
        public void onCompleteResponse(ChatResponse response) {
            if (response.finishReason() != null) {
                takes(Map.of("finish_reason", response.finishReason().name().toLowerCase()), null);
            }
            var usage = response.tokenUsage();
            if (usage != null) {
                var piece = new LinkedHashMap<String, Integer>();
                piece.put("input", usage.inputTokenCount());
                piece.put("output", usage.outputTokenCount());
                takes(Map.of("usage", piece), null);
            }
            over.complete(null);
        }

        @Override
        public void onError(Throwable error) {
            over.completeExceptionally(error);
        }

        /** A handle to cancel is given only with text and thinking. */
        private void takes(Map<String, ?> piece, StreamingHandle handle) {
            if (!user.takes(piece)) {
                if (handle != null) {
                    handle.cancel();
                }
                over.complete(null);
            }
        }
    }
}
