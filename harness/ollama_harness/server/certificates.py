"""Certificates of a server behind TLS, made when they are needed: a good one, and those that clients must refuse.

`trustme` makes them, which not every user needs: it comes with `ollama-harness[tls]`. Each server has an authority of
its own, and its private key is never written to a place that stays.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ollama_harness.errors import TlsError
from ollama_harness.files.reading import read_bytes
from ollama_harness.files.writing import check_file, write_whole

if TYPE_CHECKING:
    import trustme

__all__ = ["Certificate", "TlsKind", "ca_file", "certificate"]

#: Who signed: so a file of an earlier server is told from one of the user's.
_ORGANIZATION = "ollama-harness"

#: The name in a certificate for another server; `.example` belongs to nobody (RFC 2606).
_OTHER_NAME = "ollama.example"


class TlsKind(StrEnum):
    """Which certificate a server shows."""

    GOOD = "good"  # for its names, by the authority in `ca_pem`
    SELF_SIGNED = "self-signed"  # for its names, by itself
    EXPIRED = "expired"  # good until yesterday
    WRONG_NAME = "wrong-name"  # good, but for another server


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate in use. A client that trusts `ca_pem`, and no other, accepts it if it is good or self-signed."""

    kind: TlsKind
    ca_pem: bytes
    context: ssl.SSLContext


def certificate(kind: TlsKind | str, host: str) -> Certificate:
    """A new certificate for a server that listens on `host`: for that, localhost and the loopback addresses.

    Raises: TlsError, if there is no such kind, or trustme is not installed.
    """
    try:
        kind = TlsKind(kind)
    except ValueError:
        raise TlsError(f"there is no certificate {str(kind)!r}; give one of {', '.join(TlsKind)}") from None
    try:
        import trustme
    except ImportError as error:
        if error.name != "trustme":
            raise
        problem = "certificates are made by trustme, which is not installed"
        raise TlsError(f"{problem}; run: pip install 'ollama-harness[tls]'") from None
    names = tuple(dict.fromkeys((host, "localhost", "127.0.0.1", "::1")))
    if kind is TlsKind.SELF_SIGNED:
        pem, key = _self_signed(names)
        return Certificate(kind=kind, ca_pem=pem, context=_context(pem, key))
    authority = trustme.CA(organization_name=_ORGANIZATION)
    leaf = _issued(authority, kind, names)
    pem = b"".join(one.bytes() for one in leaf.cert_chain_pems)
    return Certificate(
        kind=kind, ca_pem=authority.cert_pem.bytes(), context=_context(pem, leaf.private_key_pem.bytes())
    )


def _issued(authority: trustme.CA, kind: TlsKind, names: tuple[str, ...]) -> trustme.LeafCert:
    if kind is TlsKind.WRONG_NAME:
        return authority.issue_cert(_OTHER_NAME)
    if kind is TlsKind.EXPIRED:
        return authority.issue_cert(*names, not_after=_days_from_now(-1))
    return authority.issue_cert(*names)


def _self_signed(names: tuple[str, ...]) -> tuple[bytes, bytes]:
    """A certificate and its key, in PEM. It has what `openssl req -x509` gives it, and what strict clients ask for."""
    from cryptography import x509  # trustme needs it, too
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_days_from_now(-1))
        .not_valid_after(_days_from_now(365))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.public_bytes(encoding), key.private_bytes(encoding, private, serialization.NoEncryption())


def _general_name(name: str):  # type: ignore[no-untyped-def]  # x509.GeneralName, which is not imported yet
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _days_from_now(days: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


def _context(certificates: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])  # so that clients that can do HTTP/2 do not
    with tempfile.TemporaryDirectory() as folder:  # `ssl` reads files only
        both = Path(folder) / "both.pem"
        both.write_bytes(key + certificates)
        context.load_cert_chain(both)
    return context


@contextlib.contextmanager
def ca_file(made: Certificate, path: Path | None) -> Iterator[Path]:
    """The file with the certificate to trust: at `path`, where it stays, or a temporary one.

    Raises: TlsError, if it cannot be written, or another file is there.
    """
    if path is not None:
        check_ca_file(path)
        write_whole(path, made.ca_pem, TlsError)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="ollama-harness-") as folder:
        temporary = Path(folder) / "ca.pem"
        temporary.write_bytes(made.ca_pem)
        yield temporary


def check_ca_file(path: Path) -> None:
    """Refuse a path that cannot be written to, or where there is a file that no earlier server left.

    Raises: TlsError.
    """
    check_file(path, TlsError)
    if path.exists() and not _is_ours(read_bytes(path, TlsError)):
        raise TlsError.about(path, "", "it exists, and is no CA file of ollama-harness", "give another --tls-ca")


def _is_ours(pem: bytes) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        (one,) = x509.load_pem_x509_certificates(pem)
    except ValueError:
        return False
    return [name.value for name in one.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [_ORGANIZATION]
