package clients;

/** A library under test; S is the object that it keeps between requests. */
interface Client<S> {
    String version();

    /** The key under which each thing that the library yields is reported: record or piece. */
    String yields();

    S session(Job job);

    /** Makes the request of a job, and gives each record or piece to the user as soon as the library yields it. */
    void exchange(Job job, S session, User user) throws Exception;

    /** The user of a library. */
    interface User {
        /** Takes a record or piece. Returns whether the user reads on. */
        boolean takes(Object value);

        /** Says what closes the answer, which the user does if the library hangs. */
        void canClose(Runnable closing);
    }

    /** The library cannot make the request. */
    final class Unsupported extends RuntimeException {
        private static final long serialVersionUID = 1;

        Unsupported(String reason) {
            super(reason);
        }
    }
}
