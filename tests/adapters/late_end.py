import threading

from adapter import Adapter


class LateEnd(Adapter):
    """The end comes when more than half of the time is over, which the check gives twice."""

    def end(self, job, **how):
        threading.Event().wait(0.7 * job["deadline_s"])
        super().end(job, **how)


LateEnd().run()
