"""SOCKS 4, 4a and 5: the request for a tunnel, and the proxy's reply.

Sources: "SOCKS: A protocol for TCP proxy across firewalls", openssh.com/txt/socks4.protocol; RFC 1928.
"""

from __future__ import annotations

import ipaddress
import time

from ollama_harness.server._connection import Connection
from ollama_harness.server._upstream import Target
from ollama_harness.server.journal import Entry, Protocol

__all__ = ["DONE", "NOT_ALLOWED", "REFUSED", "Refused", "handshake", "reply"]

#: RFC 1928 section 6. SOCKS 4 has only DONE and one code for all others.
DONE, NOT_ALLOWED, REFUSED, _NO_COMMAND, _NO_ADDRESS_TYPE = 0, 2, 5, 7, 8
_CONNECT = 1


class Refused(Exception):
    """The proxy refuses: the client gets `reply` and then a FIN."""

    def __init__(self, reply: bytes, why: str) -> None:
        self.reply = reply
        super().__init__(why)


def reply(protocol: Protocol, code: int) -> bytes:
    """The reply to a request; the address in it is all zeros, because no client uses it after CONNECT."""
    if protocol is Protocol.SOCKS5:
        return b"\x05%c\x00\x01" % code + bytes(6)
    return (b"\x00\x5b" if code else b"\x00\x5a") + bytes(6)


async def handshake(connection: Connection, entry: Entry, *, serves: bool) -> Target:
    """The target that the client asks for; it and all bytes read are noted in the entry.

    A proxy that does not serve SOCKS refuses as soon as the protocol lets it.

    Raises: Refused, ClientLeft.
    """

    async def read(size: int) -> bytes:
        if len(await connection.peek(size)) < size:
            raise Refused(b"", "the SOCKS request broke off")
        entry.body += (data := connection.take(size))
        return data

    async def read_text() -> str:
        text = b""
        while (byte := await read(1)) != b"\0":
            text += byte
        return text.decode("latin-1")

    def refused(code: int, why: str) -> Refused:
        return Refused(reply(entry.protocol, code), why)

    if entry.protocol is Protocol.SOCKS4:
        _, command, *_ = fixed = await read(8)
        await read_text()  # the user
        named = fixed[4:7] == bytes(3) and fixed[7]  # 4a
        host, port = await read_text() if named else str(ipaddress.IPv4Address(fixed[4:])), fixed[2:4]
    else:
        methods = await read((await read(2))[1])
        if not serves or 0 not in methods:
            raise Refused(b"\x05\xff", f"a SOCKS 5 greeting with the methods {list(methods)}: none is accepted")
        await connection.send(agreed := b"\x05\x00")  # no authentication
        entry.sent.append((time.monotonic() - entry.arrived_s, agreed))
        _, command, _, kind = await read(4)
    if command != _CONNECT:
        raise refused(_NO_COMMAND, f"{entry.protocol} command {command}, and this proxy knows CONNECT only")
    if entry.protocol is Protocol.SOCKS5:
        if kind not in (1, 3, 4):
            raise refused(_NO_ADDRESS_TYPE, f"SOCKS 5 address type {kind} is not known")
        named = kind == 3
        address = await read((await read(1))[0] if named else 4 if kind == 1 else 16)
        host = address.decode("latin-1") if named else str(ipaddress.ip_address(address))
        port = await read(2)
    target = Target(host, int.from_bytes(port, "big"))
    entry.target = str(target)
    if not serves:
        raise refused(REFUSED, "a SOCKS request, and this proxy speaks HTTP only")
    return target
