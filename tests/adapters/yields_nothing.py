from adapter import Adapter


class YieldsNothing(Adapter):
    """Records are kept."""

    def say(self, **message):
        if "record" not in message:
            super().say(**message)


YieldsNothing().run()
