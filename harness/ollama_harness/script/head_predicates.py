"""What a picky server or proxy demands of a request's head: pure predicates over it, as values.

Each can also change any headers so that they keep or break the demand. So both can be proven on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_harness.recordings.recording import Headers
from ollama_harness.script.http1 import RequestHead

__all__ = ["First", "HeadPredicate", "Holds", "Lacks", "Spelt"]


@dataclass(frozen=True, slots=True)
class Lacks:
    """No line of this header has `word` in it, in upper or lower case."""

    header: str
    word: str

    def unmet(self, head: RequestHead) -> str:
        """How the head breaks the demand; "" if it keeps it."""
        values = _values(head.headers, self.header)
        found = next((value for value in values if self.word.lower() in value.lower()), None)
        return "" if found is None else f"it has {self.header}: {found}"

    def kept(self, headers: Headers) -> Headers:
        """The same headers, changed so that they keep the demand."""
        return _without(headers, self.header)

    def broken(self, headers: Headers) -> Headers:
        """The same headers, changed so that they break the demand."""
        return (*self.kept(headers), (self.header, self.word))


@dataclass(frozen=True, slots=True)
class Holds:
    """The header lists one of `members`, in upper or lower case; without `members` it has any value.

    Parameters (`;q=0.5`) do not count. With `or_absent` a request without the header keeps the demand.
    """

    header: str
    members: tuple[str, ...] = ()
    or_absent: bool = False

    def unmet(self, head: RequestHead) -> str:
        """How the head breaks the demand; "" if it keeps it."""
        values = _values(head.headers, self.header)
        listed = {part.partition(";")[0].strip().lower() for value in values for part in value.split(",")} - {""}
        if not listed:
            return "" if self.or_absent and not values else f"it has no {self.header}"
        if self.members and not listed & {member.lower() for member in self.members}:
            return f"it has {self.header}: {', '.join(values)}"
        return ""

    def kept(self, headers: Headers) -> Headers:
        """The same headers, changed so that they keep the demand."""
        return (*_without(headers, self.header), (self.header, self.members[0] if self.members else "any"))

    def broken(self, headers: Headers) -> Headers:
        """The same headers, changed so that they break the demand."""
        rest = _without(headers, self.header)
        return (*rest, (self.header, f"not-{self.members[0]}" if self.members else "")) if self.or_absent else rest


@dataclass(frozen=True, slots=True)
class Spelt:
    """The header is there with exactly this spelling: a server that compares bytes finds no other."""

    header: str

    def unmet(self, head: RequestHead) -> str:
        """How the head breaks the demand; "" if it keeps it."""
        names = [name for name, _ in head.headers if name.lower() == self.header.lower()]
        if self.header in names:
            return ""
        return f"it spells {self.header} {names[0]}" if names else f"it has no {self.header}"

    def kept(self, headers: Headers) -> Headers:
        """The same headers, changed so that they keep the demand."""
        value = next(iter(_values(headers, self.header)), "application/json")
        return (*_without(headers, self.header), (self.header, value))

    def broken(self, headers: Headers) -> Headers:
        """The same headers, changed so that they break the demand."""
        return tuple((self.header.swapcase() if name == self.header else name, value) for name, value in headers)


@dataclass(frozen=True, slots=True)
class First:
    """This header is the first one."""

    header: str

    def unmet(self, head: RequestHead) -> str:
        """How the head breaks the demand; "" if it keeps it."""
        first = next((name for name, _ in head.headers), "nothing")
        return "" if first.lower() == self.header.lower() else f"it begins with {first}"

    def kept(self, headers: Headers) -> Headers:
        """The same headers, changed so that they keep the demand."""
        value = next(iter(_values(headers, self.header)), "any")
        return ((self.header, value), *_without(headers, self.header))

    def broken(self, headers: Headers) -> Headers:
        """The same headers, changed so that they break the demand."""
        first, *rest = self.kept(headers)
        return (*(rest or [("Accept", "*/*")]), first)


HeadPredicate = Lacks | Holds | Spelt | First


def _values(headers: Headers, name: str) -> list[str]:
    return [value for key, value in headers if key.lower() == name.lower()]


def _without(headers: Headers, name: str) -> Headers:
    return tuple((key, value) for key, value in headers if key.lower() != name.lower())
