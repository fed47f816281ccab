from adapter import Adapter


class WrongId(Adapter):
    """Every end is that of the first job."""

    def end(self, job, **how):
        super().end({"id": 1}, **how)


WrongId().run()
