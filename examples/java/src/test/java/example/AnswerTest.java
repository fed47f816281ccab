package example;

import static org.junit.jupiter.api.Assertions.*;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.model.ollama.OllamaStreamingChatModel;
import java.net.URI;
import java.net.http.*;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.*;

/** How the application handles an Ollama that is busy, and a stream that is cut. {@code mvn test} runs it. */
class AnswerTest {
    static Process server;
    static String url;
    static Answer answer;

    @BeforeAll
    static void start() throws Exception {
        var command = "ollama-harness serve --port 0 --print-url --exit-on-stdin-close --any-model";
        server = new ProcessBuilder(command.split(" ")).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        url = server.inputReader().readLine();
        var model = OllamaStreamingChatModel.builder().baseUrl(url).modelName("llama3.2").build();
        answer = new Answer(model, Duration.ofSeconds(60));
    }

    @AfterAll
    static void stop() throws Exception {
        server.getOutputStream().close();
    }

    static String harness(String method, String path, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url + "/_harness/" + path)).header("Content-Type", "application/json");
        request.method(method, HttpRequest.BodyPublishers.ofString(body));
        var response = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
        assertTrue(response.statusCode() < 300, response.body());
        return response.body();
    }

    @AfterEach
    void verify() throws Exception {
        var verified = harness("GET", "verify", "");
        assertTrue(new ObjectMapper().readTree(verified).get("ok").asBoolean(), verified);
        harness("POST", "reset", "");
    }

    @Test
    void aBusyServerIsAskedOnceMore() throws Exception {
        harness("POST", "programme/rules", "{\"on\": \"POST /api/chat #1\", \"fail\": \"503: busy\"}");
        assertFalse(answer.to("Why is the sky blue?").isEmpty());
    }

    @Test
    void aStreamThatIsCutIsNotAWholeAnswer() throws Exception {
        harness("POST", "programme/rules", "{\"on\": \"POST /api/chat #1\", \"faults\": [\"close_at(after_record(3))\"]}");
        assertThrows(CompletionException.class, () -> answer.to("Why is the sky blue?"));
    }
}
