from adapter import Adapter


class TwoEnds(Adapter):
    """The end is written in a `finally` as well."""

    def end(self, job, **how):
        super().end(job, **how)
        super().end(job, **how)


TwoEnds().run()
