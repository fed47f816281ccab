"""The predictions compared with the libraries themselves: each is really run, on a network where nothing answers.

Their code for Windows and macOS runs here too: it is their own source, loaded as if on that system, with a registry and
a system configuration that say what the test's settings say.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import importlib.util
import ntpath
import os
import posixpath
import socket
import sys
import types
import urllib.request
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import httpx
import ollama
import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ollama._client import _parse_host

from ollama_harness.network.ollama_host import ollama_server_address, ollama_url
from ollama_harness.network.prediction import CLIENTS, NameResolution, predicted
from ollama_harness.network.prediction_base import hidden
from ollama_harness.network.route import PredictedRoute, Route
from ollama_harness.network.settings import Mac, Registry, Settings, System

pytestmark = pytest.mark.same_everywhere

INSTALLED = frozenset(
    package
    for package, module in {"PySocks": "socks", "socksio": "socksio"}.items()
    if importlib.util.find_spec(module) is not None
)
PLATFORMS = {System.POSIX: ("posix", "linux"), System.WINDOWS: ("nt", "win32"), System.MACOS: ("posix", "darwin")}
NEW, OLD = (3, 13, 0), (3, 11, 8)

# ---- the libraries' code, as on each system


def fake_modules(said: Settings) -> dict[str, Any]:
    """winreg and _scproxy, as far as the libraries use them."""
    registry, mac = said.registry or Registry(), said.mac or Mac()
    values = {
        "ProxyEnable": registry.enable,
        "ProxyServer": registry.server,
        "ProxyOverride": registry.override,
        "AutoConfigURL": registry.pac_url,
    }

    def query(key: Any, name: str) -> tuple[Any, int]:
        if values[name] is None:
            raise FileNotFoundError(2, name)
        return values[name], 1

    winreg: Any = types.ModuleType("winreg")
    winreg.HKEY_CURRENT_USER = object()
    winreg.OpenKey = lambda *where: types.SimpleNamespace(Close=lambda: None)
    winreg.QueryValueEx = query
    scproxy: Any = types.ModuleType("_scproxy")
    on = {"http": mac.http, "https": mac.https, "socks": mac.socks}
    scproxy._get_proxies = lambda: {kind: f"http://{value}" for kind, value in on.items() if value}
    scproxy._get_proxy_settings = lambda: {"exclude_simple": mac.exclude_simple, "exceptions": mac.exceptions}
    return {"winreg": winreg, "_scproxy": scproxy}


def load(name: str, source: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def libraries(system: System) -> tuple[Any, Any]:
    """urllib.request and requests.utils, as they are on a system."""
    name, platform = PLATFORMS[system]
    with patch.dict(sys.modules, fake_modules(Settings(system=system))):
        with patch("os.name", name), patch("sys.platform", platform):
            urllib_request = load(f"urllib_request_{system}", urllib.request.__file__)
        with contextlib.ExitStack() as compat:
            for function in ("getproxies", "getproxies_environment", "proxy_bypass", "proxy_bypass_environment"):
                there = getattr(urllib_request, function)
                compat.enter_context(patch.object(requests.compat, function, there))
            compat.enter_context(patch("sys.platform", platform))
            utils = load(f"requests._utils_{system}", requests.utils.__file__)
    return urllib_request, utils


class Environ(dict[str, str]):
    """os.environ of Windows: names in upper case, found in any."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).upper())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.upper(), default)


@contextlib.contextmanager
def machine(said: Settings, names: NameResolution) -> Iterator[Any]:
    """This process on a machine with these settings. Yields the urllib.request of its system."""
    urllib_request, utils = libraries(said.system)
    environ: dict[str, str] = dict(said.variables)
    if said.system is System.WINDOWS:
        environ = Environ()
        for name, value in said.variables.items():
            environ.setdefault(name.upper(), value)
    scproxy: Any = fake_modules(said)["_scproxy"]

    def gethostbyname(host: str) -> str:
        address = names.gethostbyname(host)
        if address is None:
            raise socket.gaierror(host)
        return address

    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.dict(sys.modules, fake_modules(said)))
        for target, attribute, value in (
            (os, "environ", environ),
            (socket, "gethostbyname", gethostbyname),
            (socket, "getfqdn", names.getfqdn),
            (fnmatch, "os", types.SimpleNamespace(path=ntpath if said.system is System.WINDOWS else posixpath)),
            (httpx._utils, "getproxies", urllib_request.getproxies),
            (requests.sessions, "get_environ_proxies", utils.get_environ_proxies),
        ):
            stack.enter_context(patch.object(target, attribute, value))
        if said.system is System.MACOS:
            stack.enter_context(patch.object(urllib_request, "_get_proxies", scproxy._get_proxies))
            stack.enter_context(patch.object(urllib_request, "_get_proxy_settings", scproxy._get_proxy_settings))
        yield urllib_request


# ---- what a library really does: where its first connection goes, and its first bytes


class Plain(socket.socket):
    """One end of a pair: to be told of TCP_NODELAY is nothing to it."""

    def setsockopt(self, *args: Any) -> None:
        pass


class Seen:
    def __init__(self) -> None:
        self.connections: list[tuple[str, int, socket.socket | None]] = []
        self.opened: list[socket.socket] = []
        self.error: str | None = None

    def create_connection(self, address: tuple[str, int], *args: Any, **kwargs: Any) -> socket.socket:
        host, port = address
        if not host:
            raise socket.gaierror("no host")  # as on Linux
        ours, theirs = socket.socketpair()
        ours.shutdown(socket.SHUT_WR)
        plain = Plain(fileno=theirs.detach())
        self.connections.append((host, port, ours))
        self.opened += [ours, plain]
        return plain

    def socks_connection(self, *args: Any, proxy_addr: str, proxy_port: int, **kwargs: Any) -> socket.socket:
        self.connections.append((proxy_addr, proxy_port, None))
        raise OSError("nothing answers")

    def route(self) -> Route:
        if not self.connections:
            return Route.NOWHERE
        first = self.connections[0][2]
        if first is None:
            return Route.SOCKS
        sent = first.recv(65536)
        if sent[:1] in (b"\x04", b"\x05"):
            return Route.SOCKS
        if sent[:1] == b"\x16":
            return Route.TLS
        if sent.startswith(b"CONNECT "):
            return Route.TUNNEL
        return Route.PROXIED if sent.split()[1].startswith(b"http") else Route.DIRECT


def send(client: str, url: str, urllib_request: Any) -> None:
    match client:
        case "urllib":
            urllib_request.build_opener().open(url, b"{}", timeout=5)
        case "requests":
            with requests.Session() as session:
                session.request("POST", url, json={}, timeout=5)
        case "httpx":
            with httpx.Client(verify=False, timeout=5) as made:
                made.request("POST", url, json={})
        case "ollama":
            with ollama.Client(host=url, verify=False, timeout=5) as wrapped:
                list(wrapped.chat("model", [], stream=True))


def sees(client: str, said: Settings, url: str, names: NameResolution) -> Seen:
    seen = Seen()
    with machine(said, names) as urllib_request, contextlib.ExitStack() as stack:
        stack.enter_context(patch("socket.create_connection", seen.create_connection))
        stack.enter_context(patch.object(urllib3.util.connection, "create_connection", seen.create_connection))
        if "PySocks" in INSTALLED:
            stack.enter_context(patch("socks.create_connection", seen.socks_connection))
        try:
            send(client, url, urllib_request)
        except Exception as error:  # noqa: BLE001 - nothing answers, so there always is one
            seen.error = f"{type(error).__module__}.{type(error).__qualname__}"
    return seen


def holds(client: str, said: Settings, url: str, *, python: tuple[int, ...] | None = None) -> PredictedRoute:
    """The prediction is what the library does."""
    names = NameResolution()
    prediction = predicted(client, said, url, installed=INSTALLED, names=names, python=python or sys.version_info[:3])
    seen = sees(client, said, url, names)
    try:
        route = seen.route()
        # To TLS inside a direct https connection and to a proxy of its own the first bytes are the same.
        if route is Route.TLS and prediction.route is Route.DIRECT and url.startswith("https:"):
            route = Route.DIRECT
        assert route is prediction.route, (client, said, url, prediction, seen.error)
        if prediction.route is Route.NOWHERE:
            assert seen.error is not None
            error = {"re.PatternError": "re.error"}.get(seen.error, seen.error)  # from Python 3.13 on it has two names
            assert error.rpartition(".")[2] + ":" in prediction.because, (client, said, url, prediction, seen.error)
        else:
            host = seen.connections[0][0].lower().removeprefix("[").removesuffix("]")
            there = url if prediction.route is Route.DIRECT else prediction.proxy or ""
            assert host in there.lower(), (client, said, url, prediction, seen.connections)
    finally:
        for opened in seen.opened:
            opened.close()
    assert prediction.rule
    assert prediction.because.endswith(".")
    assert "secret" not in f"{prediction}"
    return prediction


# ---- settings as people write them


def words(text: str) -> list[str]:
    return text.split()


ENTRIES = words("""localhost LOCALHOST .localhost *.localhost localhost:11434 localhost. 127.0.0.1 127.0.0.1:11434
    127.* 127 127. 127.0.0.0/8 127.0.0.1/32 127.0.0.1/0 127/8 127.0.0.0/33 ::1 [::1] [::1]:11434 ::1/128 fe80::/10 *
    <local> <-loopback>
    http://localhost http://localhost:11434 http:// https:// all://localhost http://127.0.0.1 local host 0.0.1 lan .lan
    ollama.lan ollama example.com .example.com *.example.com bücher.example http://user:secret@localhost .""")
ENTRIES += ["", " "]
PROXIES = words("""http://proxy:8080 proxy:8080 http://user:secret@proxy:8080 user:secret@proxy:8080 https://proxy:8443
    socks5://proxy:1080 socks5h://proxy:1080 socks4://proxy:1080 socks://proxy:1080 HTTP://PROXY:8080 http://proxy proxy
    http://[::1]:8080 [::1]:8080 http://proxy:8080/ proxy:8080/path http:// http:/proxy:8080 http//proxy:8080 // : ://
    http://:8080 :8080 http://proxy:port foo://proxy:1 localhost:3128 http://127.0.0.1:3128 http://user@proxy:8080
    http://user:sec/secret@proxy:1 gärbage data:,x""")
PROXIES += ["", " http://proxy:8080", "http://proxy:8080 ", "http://pro xy:8080"]
SERVERS = [
    *PROXIES,
    "http=proxy:8080;https=proxy:8443",
    "http=proxy:8080;https=proxy:8443;",
    "https=proxy:8443",
    "https=https://proxy:8443",
    "http=https://proxy:8443;https=proxy:3128",
    "http=user:secret@proxy:8080;https=proxy:1",
    "socks=proxy:1080",
    "socks=proxy:1080;",
    "socks=socks5://proxy:1080",
    "http=;socks=proxy:1080",
    "all=proxy:8080",
    "all=",
    "proxy:8080;",
    "proxy:8080;http=proxy:1",
    "http=proxy:8080 https=proxy:8443",
    ";",
    "=",
]
OVERRIDES = [*ENTRIES, "?ocalhost", "l*", "local*", "*", "[", "(", "+", "1*", "\\", "loc", "10.*", "LOCAL*"]
URLS = [
    f"{scheme}://{host}{port}/api/chat"
    for scheme in ("http", "http", "http", "https")
    for host in ("localhost", "127.0.0.1", "[::1]", "LocalHost", "ollama.lan")
    for port in (":11434", "", ":80")
]


def lists(entries: list[str], separators: list[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda found, by: by.join(found), st.lists(st.sampled_from(entries), max_size=3), st.sampled_from(separators)
    )


proxies, exclusions = st.sampled_from(PROXIES), lists(ENTRIES, [",", ", ", ";"])
variables = st.fixed_dictionaries(
    {},
    optional={
        "http_proxy": proxies,
        "HTTP_PROXY": proxies,
        "HTTP_proxy": proxies,
        "https_proxy": proxies,
        "HTTPS_PROXY": proxies,
        "ALL_PROXY": proxies,
        "no_proxy": exclusions,
        "NO_PROXY": exclusions,
        "No_Proxy": exclusions,
        "REQUEST_METHOD": st.just("GET"),
        "DEFAULT_PROXY": proxies,
        "FTP_PROXY": proxies,
    },
)
# Most often one proxy and one list, which is where the libraries differ.
posix = st.builds(
    lambda found: Settings(system=System.POSIX, variables=found),
    st.one_of(variables, st.fixed_dictionaries({"HTTP_PROXY": st.just("http://proxy:8080"), "NO_PROXY": exclusions})),
)
registries = st.builds(
    Registry,
    enable=st.sampled_from([1, 1, 1, 0, None, "1", "0", "", "yes"]),
    server=st.one_of(st.just("proxy:8080"), st.sampled_from(SERVERS), st.none()),
    override=st.one_of(st.none(), lists(OVERRIDES, [";", "; ", ","])),
)
windows = st.builds(
    lambda found, registry: Settings(system=System.WINDOWS, variables=found, registry=registry),
    st.one_of(st.just({}), st.just({}), variables),
    registries,
)
addresses = st.sampled_from([None, "proxy:8080", "proxy", "[::1]:8080"])
macs = st.builds(
    lambda found, mac: Settings(system=System.MACOS, variables=found, mac=mac),
    st.one_of(st.just({}), st.just({}), variables),
    st.builds(
        Mac,
        http=addresses,
        https=addresses,
        socks=addresses,
        exclude_simple=st.booleans(),
        exceptions=st.lists(
            st.sampled_from([*OVERRIDES, "*.local", "169.254/16", "127/8", "127.0.0.1/40", "127.0.0.1.5"]), max_size=3
        ).map(tuple),
    ),
)
some = settings(
    max_examples=min(25, settings.default.max_examples), deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("client", ["urllib", "requests", "httpx"])
@pytest.mark.parametrize("anything", [posix, windows, macs], ids=list(System))
def test_prediction_is_what_the_library_does(client: str, anything: st.SearchStrategy[Settings]) -> None:
    @some
    @given(anything, st.sampled_from(URLS))
    def check(said: Settings, url: str) -> None:
        holds(client, said, url)

    check()


@given(windows, st.sampled_from(URLS))
@some
def test_requests_on_windows_does_not_depend_on_python(said: Settings, url: str) -> None:
    assert predicted("requests", said, url, python=OLD) == predicted("requests", said, url, python=NEW)


@given(st.one_of(posix, windows, macs), st.sampled_from(URLS))
@some
def test_httpx_and_ollama_take_the_same_route(said: Settings, url: str) -> None:
    predictions = [predicted(client, said, url) for client in CLIENTS[2:]]
    assert len({(prediction.route, prediction.proxy, prediction.rule) for prediction in predictions}) == 1


@given(st.sampled_from(PROXIES), st.sampled_from(URLS[:3]))
@some
def test_ollama_itself_takes_the_predicted_route(proxy: str, url: str) -> None:
    holds("ollama", Settings(system=System.POSIX, variables={"HTTP_PROXY": proxy}), url.removesuffix("/api/chat"))


# ---- the cases that people meet, each compared with the library too

LOCAL, BY_IP = "http://localhost:11434/api/chat", "http://127.0.0.1:11434/api/chat"


def on_posix(**found: str) -> Settings:
    return Settings(system=System.POSIX, variables=found)


def on_windows(override: str, server: str = "proxy:8080", **found: str) -> Settings:
    registry = Registry(enable=1, server=server, override=override)
    return Settings(system=System.WINDOWS, variables=found, registry=registry)


def on_mac(*exceptions: str, exclude_simple: bool = False) -> Settings:
    return Settings(
        system=System.MACOS, mac=Mac(http="proxy:8080", exceptions=exceptions, exclude_simple=exclude_simple)
    )


def ways(said: Settings, url: str) -> str:
    """The ways of urllib, requests and httpx."""
    return " ".join(holds(client, said, url).route for client in ("urllib", "requests", "httpx"))


@pytest.mark.parametrize("url", [LOCAL, BY_IP])
def test_windows_exceptions_are_read_by_urllib_and_requests_and_not_by_httpx(url: str) -> None:
    said = on_windows("localhost;127.*;<local>")
    assert ways(said, url) == "direct direct proxied"
    prediction = predicted("httpx", said, url)
    assert prediction.rule == "httpx.get_environment_proxies: never reads ProxyOverride, takes ProxyServer"
    assert prediction.because == (
        "ProxyServer is proxy:8080, and httpx does not read ProxyOverride (localhost;127.*;<local>)."
    )
    assert predicted("ollama", said, url) == prediction


def test_a_variable_makes_windows_settings_unread() -> None:
    assert ways(on_windows("", NO_PROXY="example.com"), LOCAL) == "direct direct direct"
    assert "while NO_PROXY is set" in predicted("httpx", on_windows("", NO_PROXY="example.com"), LOCAL).because


def test_a_semicolon_at_the_end_of_proxy_server_means_no_proxy() -> None:
    assert ways(on_windows("", "proxy:8080;"), LOCAL) == "direct direct direct"


def test_a_windows_socks_proxy_is_an_error_in_all_three() -> None:
    assert (
        ways(on_windows("", "socks=proxy:1080"), LOCAL)
        == ("nowhere socks nowhere" if INSTALLED else "nowhere " * 3).strip()
    )


def test_a_blank_in_proxy_override_hides_the_entry_from_requests() -> None:
    said = on_windows("example.com; localhost")
    assert predicted("urllib", said, LOCAL, python=NEW).route is Route.DIRECT
    assert predicted("urllib", said, LOCAL, python=OLD).route is Route.PROXIED
    assert holds("requests", said, LOCAL).route is Route.PROXIED


def test_old_pythons_take_a_semicolon_at_the_end_of_proxy_override_for_everything() -> None:
    said = on_windows("example.com;")
    assert predicted("urllib", said, LOCAL, python=OLD).route is Route.DIRECT
    assert predicted("urllib", said, LOCAL, python=NEW).route is Route.PROXIED
    assert ways(said, LOCAL).endswith("proxied proxied")


def test_old_pythons_compare_windows_exceptions_with_the_address_of_a_name() -> None:
    said = on_windows("127.0.0.1")
    assert [predicted("urllib", said, LOCAL, python=version).route for version in (OLD, (3, 12, 2))] == [
        Route.DIRECT
    ] * 2
    assert [predicted("urllib", said, LOCAL, python=version).route for version in ((3, 11, 9), (3, 12, 3), NEW)] == [
        Route.PROXIED
    ] * 3


def test_macos_exceptions_are_matched_with_the_port_by_urllib_and_never_read_by_httpx() -> None:
    assert ways(on_mac("localhost"), LOCAL) == "proxied direct proxied"
    assert ways(on_mac("localhost"), "http://localhost/") == "direct direct proxied"
    assert ways(on_mac("127/8"), BY_IP) == "direct direct proxied"
    assert ways(on_mac(exclude_simple=True), LOCAL) == "direct direct proxied"


@pytest.mark.parametrize(
    ("no_proxy", "url", "expected"),
    [
        ("localhost", LOCAL, "direct direct direct"),
        ("localhost", BY_IP, "proxied proxied proxied"),
        ("LOCALHOST", LOCAL, "direct direct direct"),
        (".localhost", LOCAL, "direct direct proxied"),
        ("*.localhost", LOCAL, "proxied proxied proxied"),
        ("localhost:11434", LOCAL, "direct direct direct"),
        ("127.0.0.1:11434", BY_IP, "direct proxied direct"),
        ("127.0.0.0/8", BY_IP, "proxied direct proxied"),
        ("127.*", BY_IP, "proxied proxied proxied"),
        ("*", LOCAL, "direct direct direct"),
        ("example.com,*", LOCAL, "proxied proxied direct"),
        ("http://localhost:11434", LOCAL, "proxied proxied direct"),
        ("localhost;127.0.0.1", LOCAL, "proxied proxied proxied"),
        ("local host", LOCAL, "proxied direct proxied"),
        ("::1", "http://[::1]:11434/", "proxied direct direct"),
        ("[::1]", "http://[::1]:11434/", "direct proxied nowhere"),
        ("localhost,[::1]", LOCAL, "direct direct nowhere"),
        ("localhost,fe80::/10", LOCAL, "direct direct nowhere"),
        ("localhost,bücher.example", LOCAL, "direct direct nowhere"),
    ],
)
def test_what_no_proxy_means_to_each(no_proxy: str, url: str, expected: str) -> None:
    assert ways(on_posix(HTTP_PROXY="http://proxy:8080", NO_PROXY=no_proxy), url) == expected


def test_an_empty_no_proxy_in_lower_case_hides_the_other_except_from_requests() -> None:
    assert ways(on_posix(HTTP_PROXY="proxy:1", NO_PROXY="localhost", no_proxy=""), LOCAL) == "proxied direct proxied"


def test_all_proxy_is_nothing_to_urllib() -> None:
    assert ways(on_posix(ALL_PROXY="http://proxy:8080"), LOCAL) == "direct proxied proxied"


def test_a_proxy_that_httpx_does_not_know_is_an_error_even_for_an_excluded_host() -> None:
    said = on_posix(ALL_PROXY="socks4://proxy:1080", NO_PROXY="localhost")
    assert ways(said, LOCAL) == "direct direct nowhere"
    assert predicted("ollama", said, LOCAL).because == (
        "Making ollama.Client raises ValueError: ALL_PROXY is 'socks4://proxy:1080', "
        "and socks4:// is not a kind of proxy that httpx knows."
    )


def test_a_socks_proxy_needs_a_package_of_each_library_and_urllib_has_none() -> None:
    said = on_posix(HTTP_PROXY="socks5://proxy:1080")
    found = {
        client: predicted(client, said, LOCAL, installed=frozenset()) for client in ("urllib", "requests", "httpx")
    }
    assert {prediction.route for prediction in found.values()} == {Route.NOWHERE}
    assert "InvalidSchema" in found["requests"].because
    assert "ImportError" in found["httpx"].because
    both = frozenset({"PySocks", "socksio"})
    assert [predicted(client, said, LOCAL, installed=both).route for client in CLIENTS] == [Route.NOWHERE] + [
        Route.SOCKS
    ] * 5


def test_a_proxy_of_https_is_asked_over_tls() -> None:
    assert ways(on_posix(HTTP_PROXY="https://proxy:8443"), LOCAL) == "tls tls tls"
    twice = on_posix(HTTP_PROXY="https://one:8443", HTTPS_PROXY="http://two:8080")
    prediction = holds("urllib", twice, LOCAL)
    assert (prediction.route, prediction.proxy) == (Route.TUNNEL, "http://two:8080")  # CONNECT one:8443, at two


def test_https_is_tunnelled() -> None:
    assert ways(on_posix(HTTPS_PROXY="http://proxy:8080"), "https://ollama.lan/") == "tunnel tunnel tunnel"


def test_a_proxy_of_the_defaults_that_names_no_host_leaves_the_request_to_the_next() -> None:
    said = on_posix(DEFAULT_PROXY="http://", HTTP_PROXY="http://proxy:8080", NO_PROXY=".")
    assert holds("urllib", said, LOCAL).route is Route.PROXIED, "no host is not excluded by NO_PROXY"


@pytest.mark.parametrize("client", ["urllib", "requests"])
def test_an_exception_that_is_no_pattern_is_an_error_where_it_is_read_as_one(client: str) -> None:
    assert holds(client, on_windows("["), LOCAL).because


def test_request_method_hides_http_proxy() -> None:
    assert ways(on_posix(HTTP_PROXY="proxy:1", REQUEST_METHOD="GET"), LOCAL) == "direct direct direct"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_password_is_hidden(client: str) -> None:
    prediction = predicted(client, on_posix(HTTP_PROXY="http://user:secret@proxy:8080"), LOCAL)
    assert prediction.because == "HTTP_PROXY is http://user:***@proxy:8080."
    assert prediction.proxy == "http://user:***@proxy:8080"


@given(st.sampled_from(["", "http://", "http=", "//", "http=http://"]), st.text("s:/@;=,#", max_size=5))
def test_no_password_is_left(before: str, around: str) -> None:
    assert "secret" not in hidden(f"{before}user:{around}secret{around}@proxy:8080")


def test_no_proxy_script_is_read() -> None:
    said = Settings(system=System.WINDOWS, registry=Registry(pac_url="http://wpad/wpad.dat"))
    assert ways(said, LOCAL) == "direct direct direct"
    assert "no proxy script" in predicted("httpx", said, LOCAL).because


def test_unknown_clients_are_refused() -> None:
    with pytest.raises(ValueError, match="curl"):
        predicted("curl", on_posix(), LOCAL)
    with pytest.raises(ValueError, match="None"):
        predicted("httpx", on_posix())


# ---- OLLAMA_HOST

HOSTS = words("""localhost 127.0.0.1 0.0.0.0 :8080 localhost: localhost:0 localhost:99999 localhost:x http://localhost
    https://localhost http://localhost:8080/ollama/ localhost/path ::1 [::1] [::1]:8080 http://[::1 http:// "localhost"
    '127.0.0.1:8080' ollama.com ftp://host user:secret@localhost BÜCHER.example :// http://http://x ///""")


@pytest.mark.parametrize("host", [None, "", " ", " localhost ", *HOSTS])
def test_ollama_host_means_what_the_client_makes_of_it(host: str | None) -> None:
    try:
        expected = _parse_host(host)
    except ValueError as error:
        with pytest.raises(type(error)):
            ollama_url(host)
        assert predicted("ollama", on_posix(OLLAMA_HOST=host or "")).route is Route.NOWHERE
    else:
        assert ollama_url(host) == expected


def test_without_a_url_ollama_uses_ollama_host() -> None:
    said = on_posix(HTTP_PROXY="http://proxy:8080", NO_PROXY="localhost,127.0.0.1", OLLAMA_HOST="0.0.0.0")
    assert predicted("ollama", said).route is Route.PROXIED
    assert predicted("ollama-async", on_posix(HTTP_PROXY="proxy:1", NO_PROXY="127.0.0.1")).route is Route.DIRECT
    bad = predicted("ollama", on_posix(OLLAMA_HOST="user:secret@localhost:x"))
    assert bad.because == (
        "Making ollama raises ValueError: OLLAMA_HOST is 'user:***@localhost:x', which is not an address."
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        # TestHost of Ollama's envconfig/config_test.go
        (None, "127.0.0.1:11434"),
        ("", "127.0.0.1:11434"),
        ("1.2.3.4", "1.2.3.4:11434"),
        (":1234", ":1234"),
        ("1.2.3.4:1234", "1.2.3.4:1234"),
        ("example.com", "example.com:11434"),
        ("example.com:1234", "example.com:1234"),
        (":0", ":0"),
        (":66000", ":11434"),
        (":-1", ":11434"),
        ("[::1]", "[::1]:11434"),
        ("[::]", "[::]:11434"),
        ("::1", "[::1]:11434"),
        ("[::1]:1337", "[::1]:1337"),
        (" 1.2.3.4 ", "1.2.3.4:11434"),
        ('"1.2.3.4"', "1.2.3.4:11434"),
        (' " 1.2.3.4 " ', "1.2.3.4:11434"),
        ("'1.2.3.4'", "1.2.3.4:11434"),
        ("http://1.2.3.4", "1.2.3.4:80"),
        ("http://1.2.3.4:4321", "1.2.3.4:4321"),
        ("https://1.2.3.4", "1.2.3.4:443"),
        ("https://1.2.3.4:4321", "1.2.3.4:4321"),
        ("https://example.com/ollama", "example.com:443"),
        # and what follows from Go's own functions
        ("ollama.com", "ollama.com:443"),
        ("http://localhost:x", "localhost:80"),
        ("localhost:", "localhost:11434"),
        ("::ffff:1.2.3.4", "1.2.3.4:11434"),
        ("1.2.3.4:1:2", "[1.2.3.4:1:2]:11434"),
    ],
)
def test_ollama_host_means_what_the_server_makes_of_it(host: str | None, address: str) -> None:
    assert ollama_server_address(host) == address
