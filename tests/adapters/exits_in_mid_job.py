import sys

from adapter import Adapter


class ExitsInMidJob(Adapter):
    """What the library raises ends the process."""

    def end(self, job, **how):
        sys.exit("no such attribute: done")


ExitsInMidJob().run()
