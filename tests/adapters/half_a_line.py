from adapter import Adapter


class HalfALine(Adapter):
    """A message takes two lines."""

    def write(self, text):
        super().write(text.replace('"id": ', '"id":\n'))


HalfALine().run()
