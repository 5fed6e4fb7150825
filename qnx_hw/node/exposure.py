"""Where the API may be served: this machine only, or elsewhere with TLS and users."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from qnx_hw.config import ApiSection
from qnx_hw.errors import ConfigError
from qnx_hw.node.access.accounts import Accounts
from qnx_hw.node.guard import is_loopback, own_hosts


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the API is served."""

    hosts: tuple[str, ...]
    """The `Host` values it answers to."""
    tls: tuple[Path, Path] | None


def exposure(host: str, port: int, api: ApiSection, accounts: Accounts) -> Exposure:
    """Return how to serve the API at an address; `ConfigError` where that would be unsafe."""
    tls = _tls(api)
    if not is_loopback(host):
        if tls is None:
            raise ConfigError(
                f"[api] listen: {host} can be reached from other machines, and passwords must not "
                "travel in the clear: give certificate and key in [api], or listen on 127.0.0.1 "
                f"(and from afar use: ssh -L {port}:127.0.0.1:{port} …)"
            )
        if not accounts.has_users:
            raise ConfigError(
                f"[api] listen: {host} can be reached from other machines, and nobody would have "
                "to log in: make a user first with `qnx users add FILE NAME --right admin`"
            )
    names = _names(tls[0]) if tls is not None else ()
    return Exposure(tuple(sorted(own_hosts(host, port, names))), tls)


def _tls(api: ApiSection) -> tuple[Path, Path] | None:
    if not api.certificate and not api.key:
        return None
    if not (api.certificate and api.key):
        raise ConfigError("[api] needs both certificate and key, or neither")
    certificate, key = Path(api.certificate), Path(api.key)
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[api] certificate or key cannot be used: {error}") from error
    return certificate, key


def _names(certificate: Path) -> tuple[str, ...]:
    """Return the names and addresses that a certificate is made out to."""
    parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
    try:
        found = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*names, *(f"[{each}]" if each.version == 6 else str(each) for each in addresses))
