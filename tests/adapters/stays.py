import threading

from adapter import Adapter

Adapter().run()
threading.Event().wait()
