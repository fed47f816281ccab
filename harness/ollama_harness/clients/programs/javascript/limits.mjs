// Limits of time.

/** In ms, the limit of a whole answer, for libraries that have none for a silence: more than it is expected to take. */
export const ofAnswer_ms = (job) => 1000 * (job.read_timeout_s + 1);

/** In ms, the limit of a silence. */
export const ofSilence_ms = (job) => 1000 * job.read_timeout_s;
