from adapter import Adapter


class UnknownField(Adapter):
    """A field is misspelt."""

    def end(self, job, **how):
        super().end(job, **how, wher="here")


UnknownField().run()
