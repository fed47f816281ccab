"""Go's encoding/base64 as a decoder: bytes, or the error in its words."""

from __future__ import annotations

import base64
import binascii

__all__ = ["base64_bytes"]


def base64_bytes(text: str) -> bytes | str:
    """Bytes, or Go's error. CR and LF are skipped; the place is that of the first byte that cannot be there."""
    plain = text.replace("\r", "").replace("\n", "")
    if len(plain) % 4 == 0:
        try:
            return base64.b64decode(plain.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            pass
    return f"illegal base64 data at input byte {_base64_fault(text.encode())}"


def _base64_fault(data: bytes) -> int:
    """The offset of Go's CorruptInputError. Source: encoding/base64, base64.go (`decodeQuantum`)."""
    alphabet = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    at, digits = 0, 0
    while True:
        if at == len(data):
            return at - digits
        byte = data[at]
        at += 1
        if byte in b"\r\n":
            continue
        if byte in alphabet:
            digits = (digits + 1) % 4
            continue
        if byte != ord("=") or digits < 2:
            return at - 1
        if digits == 2:
            while at < len(data) and data[at] in b"\r\n":
                at += 1
            if at == len(data):
                return len(data)
            if data[at] != ord("="):
                return at - 1
            at += 1
        while at < len(data) and data[at] in b"\r\n":
            at += 1
        return at
