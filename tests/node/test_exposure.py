"""The API is never served to other machines without TLS and users."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fake_node import sample_snapshot
from served_api import Site, served

from qnx_hw.api.access import Right
from qnx_hw.config import ApiSection
from qnx_hw.errors import ConfigError
from qnx_hw.node.access.accounts import Accounts
from qnx_hw.node.access.database import open_database
from qnx_hw.node.exposure import exposure


@pytest.fixture(name="accounts")
def _accounts() -> Iterator[Accounts]:
    database = open_database(":memory:")
    yield Accounts(database, cost=1 << 4)
    database.close()


@pytest.fixture(name="tls")
def _tls(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab")])
    now = dt.datetime.now(dt.UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("lab.example"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "lab.pem", tmp_path / "lab.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def section(tls: tuple[Path, Path]) -> ApiSection:
    return ApiSection(certificate=str(tls[0]), key=str(tls[1]))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "lab.example"])
def test_the_outside_needs_tls_and_a_user(
    host: str, accounts: Accounts, tls: tuple[Path, Path]
) -> None:
    with pytest.raises(ConfigError, match="ssh -L"):
        exposure(host, 8470, ApiSection(), accounts)
    with pytest.raises(ConfigError, match="qnx users add"):
        exposure(host, 8470, section(tls), accounts)

    accounts.add_user("ann", "correct horse battery", Right.ADMIN)

    shown = exposure(host, 8470, section(tls), accounts)
    assert "lab.example:8470" in shown.hosts
    assert shown.tls == tls


def test_this_machine_needs_neither(accounts: Accounts) -> None:
    shown = exposure("127.0.0.1", 8470, ApiSection(), accounts)

    assert shown.tls is None
    assert "127.0.0.1:8470" in shown.hosts


def test_half_a_certificate_is_told_in_words(accounts: Accounts, tls: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError, match="both certificate and key"):
        exposure("127.0.0.1", 1, ApiSection(certificate=str(tls[0])), accounts)
    with pytest.raises(ConfigError, match="cannot be used"):
        exposure("127.0.0.1", 1, ApiSection(certificate="/no", key="/no"), accounts)


def test_over_tls_browsers_are_told_to_stay_there(tls: tuple[Path, Path]) -> None:
    with served(Site(snapshot=sample_snapshot(), tls=tls)) as api:
        status, _, headers = api.ask("GET", "/api/v1/state")

    assert status == 200
    assert "max-age" in headers["Strict-Transport-Security"]
