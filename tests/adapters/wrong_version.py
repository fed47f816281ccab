from adapter import Adapter


class WrongVersion(Adapter):
    """It speaks another version of the protocol."""

    def begin(self):
        self.say(protocol=2, ready="1.0")


WrongVersion().run()
