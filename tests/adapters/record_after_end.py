from adapter import Adapter


class RecordAfterEnd(Adapter):
    """The last record is written when the job has ended."""

    def end(self, job, **how):
        super().end(job, **how)
        self.say(record={"done": True})


RecordAfterEnd().run()
