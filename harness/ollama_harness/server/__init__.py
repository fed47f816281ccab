"""FakeOllama and FakeProxy: real sockets that play scripts, and a journal of what really happened on them."""
