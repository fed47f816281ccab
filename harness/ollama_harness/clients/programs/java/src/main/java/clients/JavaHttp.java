package clients;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.stream.Stream;

/** java.net.http: https://docs.oracle.com/en/java/javase/17/docs/api/java.net.http/java/net/http/HttpClient.html */
final class JavaHttp implements Client<HttpClient> {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** The library leaves the status to its user. */
    static final class BadStatus extends IOException {
        private static final long serialVersionUID = 1;

        BadStatus(int status) {
            super("status " + status);
        }
    }

    @Override
    public String version() {
        return System.getProperty("java.version");
    }

    @Override
    public String yields() {
        return "record";
    }

    @Override
    public HttpClient session(Job job) {
        var builder = HttpClient.newBuilder();
        return (job.trustEnv() ? builder : builder.proxy(HttpClient.Builder.NO_PROXY)).build();
    }

    @Override
    public void exchange(Job job, HttpClient client, User user) throws Exception {
        var request = request(job);
        if (job.answer().equals("one")) {
            var response = good(client.send(request, BodyHandlers.ofString()));
            var isJson = response.headers().firstValue("content-type").orElse("").contains("json");
            if (isJson && !job.request().method().equals("HEAD")) {
                user.takes(JSON.readTree(response.body()));
            }
            return;
        }
        var response = client.send(request, BodyHandlers.ofLines());
        try (Stream<String> lines = response.body()) {
            user.canClose(lines::close);
            good(response);
            if (job.answer().equals("records")) {
                records(lines.iterator(), user);
            } else {
                events(lines.iterator(), user);
            }
        }
    }

    private static HttpRequest request(Job job) {
        var asked = job.request();
        var builder = HttpRequest.newBuilder(URI.create(job.url() + asked.path())).timeout(job.readTimeout());
        var body = asked.hasJson() ? asked.json().toString() : asked.body();
        builder.method(asked.method(), body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
        if (asked.hasJson()) {
            builder.header("Content-Type", "application/json");
        }
        for (var header : asked.headers()) {
            try {
                builder.setHeader(header.get(0), header.get(1));
            } catch (IllegalArgumentException restricted) {
                throw new Unsupported("java.net.http takes no header " + header.get(0));
            }
        }
        return builder.build();
    }

    private static <T> HttpResponse<T> good(HttpResponse<T> response) throws BadStatus {
        if (response.statusCode() / 100 != 2) {
            throw new BadStatus(response.statusCode());
        }
        return response;
    }

    private static void records(Iterator<String> lines, User user) throws IOException {
        while (lines.hasNext()) {
            var line = lines.next();
            if (!line.isEmpty() && !user.takes(JSON.readTree(line))) {
                return;
            }
        }
    }

    /** Yields the text of each event: its lines without comments, if one of them has data. */
    private static void events(Iterator<String> lines, User user) {
        var event = new ArrayList<String>();
        for (var first = true; lines.hasNext(); first = false) {
            var line = lines.next();
            var text = first && line.startsWith("\ufeff") ? line.substring(1) : line;
            if (!text.isEmpty()) {
                if (!text.startsWith(":")) {
                    event.add(text);
                }
                continue;
            }
            var hasData = event.stream().anyMatch(each -> each.split(":", 2)[0].equals("data"));
            if (hasData && !user.takes(String.join("\n", event))) {
                return;
            }
            event.clear();
        }
    }
}
