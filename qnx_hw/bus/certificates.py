"""Certificates of a network's nodes: one authority for them alone, one certificate per participant.

The bus' server, and neighbours among each other, trust every certificate of this authority under
the name it carries. So the authority signs for them and nothing else: a certificate for key
delivery must not open the bus.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from qnx_hw import certificates
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
        name = certificates.subject(f"qnx bus of {network}")
        builder = certificates.of_authority(name, key.public_key(), LIFETIME_DAYS)
        certificate = builder.sign(key, hashes.SHA256())
        return cls(certificate, key)

    @classmethod
    def read(cls, folder: Path) -> Authority:
        """Take up the authority that `write` left in a folder."""
        try:
            certificate = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.pem").read_bytes())
            key = serialization.load_pem_private_key(
                (folder / f"{AUTHORITY}.key").read_bytes(), password=None
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"cannot read the bus' authority in {folder}: {error}; {AUTHORITY}.pem and "
                f"{AUTHORITY}.key belong there, or neither, and a new authority is made"
            ) from error
        assert isinstance(key, ec.EllipticCurvePrivateKey)
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
        builder = certificates.of_participant(
            *(name, key.public_key(), self.certificate, LIFETIME_DAYS, purposes, hosts)
        )
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


def _write(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = path.with_suffix(".key")
    private.unlink(missing_ok=True)
    private.touch(mode=0o600, exist_ok=False)
    private.write_bytes(certificates.private_pem(key))
