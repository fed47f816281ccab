package clients;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Reads jobs from stdin, does one after the other, and reports to stdout. The process exits when stdin ends.
 *
 * <p>The library of a job runs in a thread of its own. So a job whose library never calls back ends at its deadline.
 */
final class Worker<S> {
    private static final ObjectMapper JSON = new ObjectMapper()
            .setPropertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    private final Client<S> client;
    private final BlockingQueue<Job> jobs = new LinkedBlockingQueue<>();
    private final PrintStream stdout =
            new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    private S session;

    Worker(Client<S> client) {
        this.client = client;
    }

    void serve() throws InterruptedException {
        System.setOut(System.err); // what a library prints is no message
        start(this::readJobs);
        report(Map.of("protocol", 1, "ready", client.version()));
        while (true) {
            does(jobs.take());
        }
    }

    private void readJobs() {
        try (var stdin = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = stdin.readLine(); line != null; line = stdin.readLine()) {
                jobs.add(JSON.readValue(line, Job.class));
            }
        } catch (IOException error) {
            error.printStackTrace();
        }
        Runtime.getRuntime().halt(0);
    }

    private void does(Job job) throws InterruptedException {
        var begun = System.nanoTime();
        var reading = new Reading(job, begun);
        var end = new CompletableFuture<Map<String, Object>>();
        start(() -> end.complete(exchange(job, reading)));
        Map<String, Object> how;
        try {
            how = end.get(job.deadline().toNanos() - (System.nanoTime() - begun), TimeUnit.NANOSECONDS);
        } catch (TimeoutException late) {
            reading.closing.run();
            how = Map.of("end", "hung");
        } catch (ExecutionException impossible) {
            throw new IllegalStateException(impossible);
        }
        reading.ends(how);
    }

    private Map<String, Object> exchange(Job job, Reading reading) {
        try {
            var used = job.reusesSession() && session != null ? session : client.session(job);
            session = job.keepsSession() || job.meanwhileAfter() != null ? used : null;
            client.exchange(job, used, reading);
            return Map.of("end", reading.stopped ? "stopped" : "ended");
        } catch (Client.Unsupported error) {
            return Map.of("end", "unsupported", "reason", error.getMessage());
        } catch (Throwable error) {
            return raised(error);
        }
    }

    private static Map<String, Object> raised(Throwable error) {
        var types = new ArrayList<String>();
        for (Class<?> type = error.getClass(); type != Object.class; type = type.getSuperclass()) {
            types.add(type.getName());
        }
        var messages = new ArrayList<String>();
        for (var one = error; one != null && messages.size() < 5; one = one.getCause()) {
            messages.add(String.valueOf(one));
        }
        var frames = error.getStackTrace();
        var where = frames.length > 0 ? frames[0].toString() : "";
        return Map.of("end", "raised", "types", types, "message", String.join(": ", messages), "where", where);
    }

    private synchronized void report(Map<String, ?> message) {
        try {
            stdout.println(JSON.writeValueAsString(message));
            stdout.flush();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static void start(Runnable task) {
        var thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
    }

    /** What the user of a job reads. */
    private final class Reading implements Client.User {
        private final Job job;
        private final long begun;
        private int taken;
        private volatile boolean stopped;
        /** Until the library gives a way, only the end of this process closes its connection: the harness kills it. */
        private volatile Runnable closing = () -> new CompletableFuture<>().join();
        private boolean over;

        Reading(Job job, long begun) {
            this.job = job;
            this.begun = begun;
        }

        @Override
        public boolean takes(Object value) {
            synchronized (this) {
                if (over || stopped) {
                    return false;
                }
                report(Map.of(client.yields(), value, "at_s", (System.nanoTime() - begun) / 1e9));
                taken++;
                stopped = Integer.valueOf(taken).equals(job.stopAfter());
            }
            if (Integer.valueOf(taken).equals(job.meanwhileAfter())) {
                report(Map.of("meanwhile", true));
                try {
                    does(jobs.take());
                } catch (InterruptedException ended) {
                    return false;
                }
            }
            return !stopped;
        }

        @Override
        public void canClose(Runnable closing) {
            this.closing = closing;
        }

        synchronized void ends(Map<String, Object> how) {
            over = true;
            var end = new LinkedHashMap<>(how);
            end.put("id", job.id());
            report(end);
        }
    }
}
