from adapter import Adapter


class Pieces(Adapter):
    """It yields pieces, and was said to yield records."""

    def say(self, **message):
        if "record" in message:
            message = {"piece": {"text": message["record"]["message"]["content"]}}
        super().say(**message)


Pieces().run()
