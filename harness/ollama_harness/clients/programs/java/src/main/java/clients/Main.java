package clients;

/** Drives clients in Java for ollama-harness. docs/client-protocol.md describes the messages, which are NDJSON both ways. */
final class Main {
    public static void main(String[] arguments) throws InterruptedException {
        switch (arguments[0]) {
            case "java-http" -> new Worker<>(new JavaHttp()).serve();
            case "langchain4j" -> new Worker<>(new Langchain4j()).serve();
            default -> {
                System.err.println("there is no client " + arguments[0]);
                System.exit(2);
            }
        }
    }
}
