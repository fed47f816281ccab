from adapter import Adapter


class NeverReady(Adapter):
    """It waits for a job before it says that it is ready."""

    def begin(self):
        pass


NeverReady().run()
