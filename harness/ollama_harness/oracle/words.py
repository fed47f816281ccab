"""The words in which clients are described and judged: layers, causes and verdicts.

They stand apart from what computes with them, because the process of each client needs only the words.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Cause", "Layer", "Verdict"]


class Layer(StrEnum):
    """What a client promises: HTTP, or Ollama's protocol on top of it."""

    HTTP = "http"
    OLLAMA = "ollama"


class Cause(StrEnum):
    """Why an answer ends as it does."""

    WHOLE = "whole"
    FIN = "fin"  # the connection closes inside the message
    RST = "rst"
    REFUSED = "refused"  # there was no connection
    SILENCE = "silence"
    NO_OBJECT = "no-object"  # Ollama's records are objects
    NO_TERMINAL_RECORD = "no-terminal-record"
    AFTER_TERMINAL_RECORD = "after-terminal-record"
    STATUS = "status"
    IN_BAND = "in-band"
    BAD_JSON = "bad-json"
    CODING = "coding"  # the content coding is broken, unknown or not true
    FRAMING = "framing"
    REDIRECT = "redirect"
    OTHER_TYPE = "other-type"  # the right content under another Content-Type
    TWO_LENGTHS = "two-lengths"  # Content-Length beside chunks
    BYTE_ORDER_MARK = "byte-order-mark"
    LONE_SURROGATE = "lone-surrogate"  # half a character, which no UTF-8 can hold

    @property
    def refusable(self) -> bool:
        """Whether a client may reject the whole answer, so that no record is due."""
        return self in (
            Cause.REDIRECT,
            Cause.OTHER_TYPE,
            Cause.TWO_LENGTHS,
            Cause.BYTE_ORDER_MARK,
            Cause.LONE_SURROGATE,
        )


class Verdict(StrEnum):
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    MISROUTED = "misrouted"
    CRASH = "crash"
    HANG = "hang"
    SILENT_LOSS = "silent-loss"
    CORRUPT = "corrupt"
    UNSAFE_RETRY = "unsafe-retry"
    LEAK = "leak"
    FALSE_ALARM = "false-alarm"
    BUFFERED = "buffered"
    UNDOCUMENTED = "undocumented"
    PASS = "pass"

    @property
    def harm(self) -> int | None:
        """How bad it is for the client's user, 0 to 6; None where nothing was judged."""
        return _HARM.get(self)

    @property
    def severity(self) -> int:
        """A number that decides which of two verdicts is shown: inconclusive before any harm, unsupported last."""
        return {Verdict.INCONCLUSIVE: 7, Verdict.UNSUPPORTED: -1}.get(self, self.harm or 0)


_HARM = {
    Verdict.MISROUTED: 5,
    Verdict.CRASH: 4,
    Verdict.HANG: 4,
    Verdict.SILENT_LOSS: 5,
    Verdict.CORRUPT: 6,
    Verdict.UNSAFE_RETRY: 3,
    Verdict.LEAK: 3,
    Verdict.FALSE_ALARM: 2,
    Verdict.BUFFERED: 2,
    Verdict.UNDOCUMENTED: 1,
    Verdict.PASS: 0,
}
