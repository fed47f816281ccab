package clients;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;

/** A job of the protocol. */
record Job(
        int id,
        String url,
        Request request,
        String answer,
        double readTimeoutS,
        double deadlineS,
        Integer stopAfter,
        Integer meanwhileAfter,
        boolean reusesSession,
        boolean keepsSession,
        boolean trustEnv) {

    /** The headers are pairs of a name and a value. */
    record Request(String method, String path, List<List<String>> headers, JsonNode json, String body) {
        boolean hasJson() {
            return json != null && !json.isNull();
        }
    }

    Duration readTimeout() {
        return seconds(readTimeoutS);
    }

    Duration deadline() {
        return seconds(deadlineS);
    }

    private static Duration seconds(double s) {
        return Duration.ofNanos(Math.round(s * 1e9));
    }
}
