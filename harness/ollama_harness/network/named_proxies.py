"""The proxies that settings name: each with the setting that names it, and settings in which others stand instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from ollama_harness.network.settings import Mac, Registry, Settings

__all__ = ["NamedProxy", "named_proxies", "with_proxies"]

#: A proxy as people write it. What does not look like this stays as it is written, so that clients find its defect.
_WRITTEN = re.compile(
    r"(?P<before>(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?:[^/@]*@)?)"
    r"(?P<host>[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<after>/.*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedProxy:
    """A proxy: the `setting` that names it, as people know that, and the `url` with the scheme that it has there.

    `url` may hold a password.
    """

    setting: str
    url: str

    @property
    def address(self) -> str:
        """Its host and port, as they are written."""
        return self.url.partition("://")[2].rpartition("@")[2].partition("/")[0]

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0].lower()


def named_proxies(settings: Settings) -> tuple[NamedProxy, ...]:
    """The proxies that settings name, for whatever URLs."""
    found: list[NamedProxy] = []

    def note(proxy: NamedProxy) -> str:
        found.append(proxy)
        return "127.0.0.1:9"

    with_proxies(settings, note)
    return tuple(found)


def with_proxies(settings: Settings, place: Callable[[NamedProxy], str]) -> Settings:
    """The settings with each proxy at the host:port that `place` returns for it. All else stays as it is written."""

    def replaced(setting: str, text: str | None) -> str | None:
        written = _WRITTEN.fullmatch(text or "")
        if written is None or int(written["port"] or 0) > 65535:
            return text
        url = text if written["scheme"] else f"http://{text}"
        return f"{written['before']}{place(NamedProxy(setting=setting, url=url or ''))}{written['after'] or ''}"

    def replaced_parts(text: str | None) -> str | None:
        """ProxyServer: host:port, or http=host:port;https=…"""
        if text is None:
            return None
        parts = (part.rpartition("=") for part in text.split(";"))
        return ";".join(f"{scheme}{equals}{replaced('ProxyServer', proxy)}" for scheme, equals, proxy in parts)

    return replace(
        settings,
        variables={
            name: (replaced(name, value) or "") if _names_a_proxy(name) else value
            for name, value in settings.variables.items()
        },
        registry=settings.registry and _registry(settings.registry, replaced_parts),
        mac=settings.mac and _mac(settings.mac, replaced),
    )


def _names_a_proxy(name: str) -> bool:
    return name.lower().endswith("_proxy") and name.lower() != "no_proxy"


def _registry(registry: Registry, replaced: Callable[[str | None], str | None]) -> Registry:
    return replace(registry, server=replaced(registry.server))


def _mac(mac: Mac, replaced: Callable[[str, str | None], str | None]) -> Mac:
    return replace(
        mac,
        http=replaced("the HTTP proxy of macOS", mac.http),
        https=replaced("the HTTPS proxy of macOS", mac.https),
        socks=replaced("the SOCKS proxy of macOS", mac.socks),
    )
