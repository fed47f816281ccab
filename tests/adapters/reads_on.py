from adapter import Adapter


class ReadsOn(Adapter):
    """The user never stops."""

    def do(self, job):
        super().do({**job, "stop_after": None})


ReadsOn().run()
