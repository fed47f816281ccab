package example;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/** An application that asks Ollama through LangChain4j. Its user never takes a part for the whole answer. */
public record Answer(StreamingChatModel model, Duration timeout) {

    public String to(String prompt) {
        try {
            return ask(prompt).join();
        } catch (CompletionException failed) {
            if (failed.getCause() instanceof InternalServerException) {
                return ask(prompt).join(); // A busy server is asked once more: a model that streams does not retry.
            }
            throw failed;
        }
    }

    private CompletableFuture<String> ask(String prompt) {
        var answer = new CompletableFuture<String>();
        model.chat(prompt, new StreamingChatResponseHandler() {
            @Override
            public void onPartialResponse(String part) {}

            @Override
            public void onCompleteResponse(ChatResponse response) {
                answer.complete(response.aiMessage().text());
            }

            @Override
            public void onError(Throwable error) {
                answer.completeExceptionally(error);
            }
        });
        // Where a stream ends without its last record, LangChain4j calls neither. Without this line, we would wait forever.
        return answer.orTimeout(timeout.toMillis(), TimeUnit.MILLISECONDS);
    }
}
