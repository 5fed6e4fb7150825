"""TLS 1.3 with certificates on both sides, and the one name that a certificate stands for."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from qnx_hw.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,64}")
"""The URI alphabet (RFC 3986, section 2), which ETSI GS QKD 020 asks of an SAE ID."""


def server_side(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return a context that asks each client for a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session would skip the check of the certificate.
    context.num_tickets = 0
    return _loaded(context, certificate, key, authority)


def client_side(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """Return a context that shows `certificate` and trusts servers of `authority` alone."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key, authority)


def name_in(certificate_der: bytes | None) -> str | None:
    """Return the one common name of a certificate's subject; None where it is not clear.

    Exactly one common name of 1 to 64 characters of the URI alphabet counts, taken as it is
    written: no wildcard, no other case, no alternative name stands in for it.
    """
    if certificate_der is None:
        return None
    try:
        subject = x509.load_der_x509_certificate(certificate_der).subject
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return None
    if len(names) != 1 or not isinstance(names[0].value, str):
        return None
    return names[0].value if NAME.fullmatch(names[0].value) else None


def client_name(tls: ssl.SSLObject) -> str | None:
    """Return the name in the certificate of the client of an open connection."""
    return name_in(tls.getpeercert(binary_form=True))


def _loaded(
    context: ssl.SSLContext, certificate: Path, key: Path, authority: Path
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use the certificate {certificate}, its key {key} or the authority "
            f"{authority}: {getattr(error, 'strerror', None) or error}; `qnx pki` makes them"
        ) from error
    return context
