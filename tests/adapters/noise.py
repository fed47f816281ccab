from adapter import Adapter


class Noise(Adapter):
    """A library prints where messages should be."""

    def do(self, job):
        self.write("DEBUG: sending a request\n")
        super().do(job)


Noise().run()
