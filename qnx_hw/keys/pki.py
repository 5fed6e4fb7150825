"""Certificates for key managers and SAEs: two authorities, so that neither passes for the other.

The folder holds

    sae-ca.pem  sae-ca.key          signs SAEs, and key managers as servers to SAEs
    kme-ca.pem  kme-ca.key          signs key managers to each other
    kme/NODE.pem      kme/NODE.key
    peer/NODE.pem     peer/NODE.key
    sae/ID.pem        sae/ID.key    with the ID percent-encoded

All keys are on P-256. The authorities' keys belong on no node.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from qnx_hw import certificates
from qnx_hw.config import NetworkFile
from qnx_hw.errors import ConfigError
from qnx_hw.keys.vault import read_private, write_private

SAE_AUTHORITY, KME_AUTHORITY = "sae-ca", "kme-ca"
VALID_DAYS = 825
AUTHORITY_VALID_DAYS = 3650
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path

    @property
    def exist(self) -> bool:
        """Whether both are there."""
        return self.certificate.exists() and self.key.exists()


def authority(folder: Path, name: str) -> Files:
    """Return where an authority's files lie."""
    return Files(folder / f"{name}.pem", folder / f"{name}.key")


def of_kme(folder: Path, node: str) -> Files:
    """Return where a key manager's files towards SAEs lie."""
    return Files(folder / "kme" / f"{node}.pem", folder / "kme" / f"{node}.key")


def of_peer(folder: Path, node: str) -> Files:
    """Return where a key manager's files towards other key managers lie."""
    return Files(folder / "peer" / f"{node}.pem", folder / "peer" / f"{node}.key")


def of_sae(folder: Path, sae: str) -> Files:
    """Return where an SAE's files lie."""
    name = quote(sae, safe="")
    return Files(folder / "sae" / f"{name}.pem", folder / "sae" / f"{name}.key")


def make_authority(folder: Path, name: str) -> Files:
    """Make an authority, unless it is there; an authority is never replaced."""
    files = authority(folder, name)
    if files.exist:
        return files
    key = ec.generate_private_key(ec.SECP256R1())
    subject = certificates.subject(f"qnx {name}")
    builder = certificates.of_authority(subject, key.public_key(), AUTHORITY_VALID_DAYS)
    _write(files, builder.sign(key, SHA256()), key)
    return files


def issue(
    by: Files,
    files: Files,
    name: str,
    usages: list[x509.ObjectIdentifier],
    hosts: tuple[str, ...] = (),
    days: float = VALID_DAYS,
) -> None:
    """Make a key and a certificate with one common name, signed by an authority."""
    try:
        parent = x509.load_pem_x509_certificate(by.certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"there is no authority at {by.certificate}; make one first") from error
    parent_key = load_pem_private_key(read_private(by.key), password=None)
    assert isinstance(parent_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = certificates.of_participant(name, key.public_key(), parent, days, usages, hosts)
    _write(files, builder.sign(parent_key, SHA256()), key)


def make_kme(
    network: NetworkFile, folder: Path, node: str, days: float = VALID_DAYS
) -> list[Files]:
    """Make a key manager's two certificates; each names the host where it listens."""
    section = network.nodes[node].kme
    assert section is not None
    made = [of_kme(folder, node)]
    hosts = _hosts(section.listen, section.hosts)
    issue(authority(folder, SAE_AUTHORITY), made[0], section.id or node, [SERVER], hosts, days)
    if section.peers is not None:
        hosts = _hosts(section.peers)
        made.append(of_peer(folder, node))
        issue(authority(folder, KME_AUTHORITY), made[1], node, [SERVER, CLIENT], hosts, days)
    return made


def make_sae(folder: Path, sae: str) -> list[Files]:
    """Make an SAE's certificate."""
    files = of_sae(folder, sae)
    issue(authority(folder, SAE_AUTHORITY), files, sae, [CLIENT])
    return [files]


def complete(network: NetworkFile, folder: Path) -> list[Files]:
    """Make certificates for all of a network file that have none."""
    made = []
    for node, section in network.nodes.items():
        needed = [of_kme(folder, node)]
        if section.kme is not None and section.kme.peers is not None:
            needed.append(of_peer(folder, node))
        if section.kme is not None and not all(files.exist for files in needed):
            made += make_kme(network, folder, node)
    for sae in network.saes:
        if not of_sae(folder, sae).exist:
            made += make_sae(folder, sae)
    return made


def _hosts(address: str, more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return by which names a listener is reached: that of its address, and this machine's own."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return (host, *more)
    is_local = ip.is_loopback or ip.is_unspecified
    return tuple(dict.fromkeys((host, *more, *(LOCAL_HOSTS if is_local else ()))))


def _write(files: Files, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(files.key, certificates.private_pem(key))
    write_private(files.certificate, certificate.public_bytes(Encoding.PEM))
    files.certificate.chmod(0o644)
