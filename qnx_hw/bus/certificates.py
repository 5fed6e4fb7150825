"""Certificates of a network's nodes: one authority for them alone, one certificate per participant.

The bus' server, and neighbours among each other, trust every certificate of this authority under
the name it carries. So the authority signs for them and nothing else: a certificate for key
delivery must not open the bus.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qnx_hw.errors import ConfigError

LIFETIME_DAYS = 730
AUTHORITY = "authority"
SERVER = "server"


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """Signs the certificates; its key belongs on a machine that is not on the network."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, network: str) -> Authority:
        """Make a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"qnx bus of {network}")
        certificate = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    def write(self, folder: Path) -> None:
        """Write certificate and private key as `authority.pem` and `authority.key`."""
        _write(folder / AUTHORITY, self.certificate, self.key)

    def issue(self, name: str, folder: Path, *, hosts: Sequence[str] = ()) -> None:
        """Write a new certificate `NAME.pem` and private key `NAME.key`.

        With `hosts` it is one for a server that is reached under these names or addresses;
        without, one for the participant called `name`.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        # Neighbours answer each other; without a host's name that passes for no server of the bus.
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
        if not hosts:
            purposes.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        builder = (
            _builder(_name(name), self.certificate.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if hosts:
            names = [_host(host) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _write(folder / name, builder.sign(self.key, hashes.SHA256()), key)


def context(folder: Path, name: str) -> ssl.SSLContext:
    """Return what a participant needs to connect: TLS 1.3, its certificate, our authority alone."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, folder, name)


def neighbourly(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a node needs to dial other nodes, and to answer them.

    Both demand a certificate of our authority; whose it is, the caller looks at.
    """
    dialling = _context(ssl.PROTOCOL_TLS_CLIENT, folder, name)
    dialling.check_hostname = False
    answering = _context(ssl.PROTOCOL_TLS_SERVER, folder, name)
    answering.verify_mode = ssl.CERT_REQUIRED
    answering.num_tickets = 0  # a resumed connection would show no certificate
    return dialling, answering


def _context(side: int, folder: Path, name: str) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        made.load_verify_locations(folder / f"{AUTHORITY}.pem")
        made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use the bus certificates of '{name}' in {folder}: {error}; "
            f"{AUTHORITY}.pem, {name}.pem and {name}.key belong there"
        ) from error
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=LIFETIME_DAYS))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _write(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    octets = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    private = path.with_suffix(".key")
    private.unlink(missing_ok=True)
    private.touch(mode=0o600, exist_ok=False)
    private.write_bytes(octets)
