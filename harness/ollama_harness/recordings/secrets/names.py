"""Which names mean that their value is a secret: password, api_key, GITHUB_TOKEN, X-Csrf-Token, sessionId …

A name is split into words, however it is spelled (JSON, the environment, YAML, headers). Its last words count:
`api_key_file` is a path. Everyday words (`pass`, `session`, `token`) are weak names: where their value could be
something else, it must look like a secret too.
"""

from __future__ import annotations

import enum
import re

__all__ = ["Secrecy", "secrecy"]


class Secrecy(enum.IntEnum):
    """How sure it is that the value of a name is a secret."""

    NONE = 0
    WEAK = 1
    STRONG = 2


_WORD = re.compile(rb"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_KINDS_OF_KEY = (
    *(b"access", b"account", b"admin", b"api", b"auth", b"deploy", b"encryption", b"functions", b"license", b"master"),
    *(b"pass", b"private", b"secret", b"service", b"session", b"shared", b"signing", b"ssh", b"storage"),
    b"subscription",
)
_KINDS_OF_TOKEN = (
    *(b"access", b"api", b"auth", b"bearer", b"bot", b"csrf", b"github", b"gitlab", b"hf", b"id", b"npm", b"oauth"),
    *(b"personal", b"refresh", b"security", b"session", b"xsrf"),
)
#: Ends of strong names, their words written together.
_STRONG = (
    *(b"password", b"passwords", b"passwd", b"passphrase", b"passcode", b"secret", b"secrets", b"authorization"),
    *(b"credential", b"credentials"),
    *(kind + ending for kind in _KINDS_OF_KEY for ending in (b"key", b"keys")),
    *(kind + ending for kind in _KINDS_OF_TOKEN for ending in (b"token", b"tokens")),
)
#: Last words of weak names.
_WEAK = frozenset(
    {
        *(b"pass", b"pwd", b"pw", b"auth", b"session", b"cookie", b"cookies", b"cred", b"creds", b"bearer", b"jwt"),
        *(b"csrf", b"xsrf", b"otp", b"totp"),
    }
)
#: Other endings of such names: dbpass, jsessionid.
_WEAK_ENDINGS = (b"pass", b"sessionid", b"sessid")
_OTHER_WORDS = frozenset({b"bypass", b"compass", b"encompass", b"overpass", b"surpass", b"trespass", b"underpass"})
#: Words before `token` where it is a piece of text or a place in a list, and no secret.
_PIECES_OF_TEXT = frozenset(
    {
        *(b"eos", b"bos", b"eot", b"eom", b"pad", b"padding", b"unk", b"unknown", b"sep", b"cls", b"mask", b"fim"),
        *(b"stop", b"start", b"begin", b"end", b"first", b"last", b"next", b"prev", b"previous", b"page", b"per"),
        *(b"special", b"added", b"prefix", b"suffix", b"middle", b"image", b"audio", b"video", b"text", b"word"),
        *(b"input", b"output", b"prompt", b"completion", b"new", b"think", b"tool", b"max", b"min", b"top", b"sync"),
    }
)


def secrecy(name: bytes) -> Secrecy:
    """How sure it is that the value of this name is a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1].isdigit():  # API_KEY_2
        words.pop()
    if b"".join(words).endswith(_STRONG):
        return Secrecy.STRONG
    match words:
        case [*_, b"session", b"id"]:
            return Secrecy.WEAK
        case [*before, b"token"] if not _PIECES_OF_TEXT.intersection(before):
            return Secrecy.STRONG if before else Secrecy.WEAK
        case [*_, last] if last in _WEAK or (last.endswith(_WEAK_ENDINGS) and last not in _OTHER_WORDS):
            return Secrecy.WEAK
        case _:
            return Secrecy.NONE
