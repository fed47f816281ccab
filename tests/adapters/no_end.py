from adapter import Adapter


class NoEnd(Adapter):
    """The end is forgotten."""

    def end(self, job, **how):
        pass


NoEnd().run()
