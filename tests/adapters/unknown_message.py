from adapter import Adapter


class UnknownMessage(Adapter):
    """A message has another name than in the protocol."""

    def say(self, **message):
        if "record" in message:
            message = {"chunk": message["record"]}
        super().say(**message)


UnknownMessage().run()
