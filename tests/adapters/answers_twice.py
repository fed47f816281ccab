from adapter import Adapter


class AnswersTwice(Adapter):
    """Each job is done a second time."""

    def do(self, job):
        super().do(job)
        super().do(job)


AnswersTwice().run()
