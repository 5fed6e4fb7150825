"""A certificate that ends is told of in time; a renewed one is served without a restart."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from qnx_hw import certificates
from qnx_hw.api.schema import Level
from qnx_hw.keys import pki
from qnx_hw.keys.delivery import identity
from qnx_hw.node.certificate_watch import CertificateWatch, kept_fresh

GOOD = dt.timedelta(days=pki.VALID_DAYS)


class Served:
    """A server's certificate on disk, its context, and what its watch told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = pki.make_authority(folder, pki.SAE_AUTHORITY)
        self.files = pki.of_kme(folder, "alice")
        self.renew()
        self.context = identity.server_side(
            self.files.certificate, self.files.key, self.authority.certificate
        )
        self.context.verify_mode = ssl.CERT_NONE
        self.told: list[tuple[Level, str]] = []
        self.now = dt.datetime.now(dt.UTC)
        self.watch = CertificateWatch(
            lambda level, _, words, about="": self.told.append((level, words)),
            "alice",
            (self.files.certificate, self.files.key),
            self.context,
            lambda: self.now,
        )

    def levels(self) -> list[Level]:
        return [level for level, _ in self.told]

    def renew(self) -> None:
        """Put a new certificate and its key in the old one's place."""
        pki.issue(self.authority, self.files, "alice", [pki.SERVER], ("alice",))

    def end(self) -> None:
        """Put a certificate in the old one's place that ends at this moment."""
        key, signer = (
            load_pem_private_key(path.read_bytes(), password=None)
            for path in (self.files.key, self.authority.key)
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        parent = x509.load_pem_x509_certificate(self.authority.certificate.read_bytes())
        ended = certificates.of_participant("alice", key.public_key(), parent, 0, [pki.SERVER])
        pem = ended.sign(signer, SHA256()).public_bytes(Encoding.PEM)
        self.files.certificate.write_bytes(pem)

    def serial_on_disk(self) -> int:
        return x509.load_pem_x509_certificate(self.files.certificate.read_bytes()).serial_number

    def serial_shown(self) -> int:
        """Shake hands and return which certificate the server shows."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = ssl.create_default_context(cafile=str(self.authority.certificate))
        client = trust.wrap_bio(to_client, to_server, server_hostname="alice")
        server = self.context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for end in (client, server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        shown = client.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_a_renewed_certificate_is_shown_from_the_next_connection_on(served: Served) -> None:
    first = served.serial_shown()
    served.watch.look()
    assert served.levels() == [Level.INFO]

    served.renew()
    served.watch.look()

    assert served.serial_shown() == served.serial_on_disk() != first
    level, words = served.told[-1]
    assert level is Level.OK
    assert "renewed" in words


def test_one_that_ends_soon_is_told_of_once_and_again_when_it_has_ended(served: Served) -> None:
    levels = []
    for age in (GOOD / 2, GOOD - dt.timedelta(days=20), GOOD - dt.timedelta(days=1), GOOD):
        served.now = dt.datetime.now(dt.UTC) + age
        for _ in range(2):
            served.watch.look()
        levels.append(served.levels())
    info, warning, alarm = Level.INFO, Level.WARNING, Level.ALARM

    assert levels == [[info], [info, warning], [info, warning], [info, warning, alarm]]

    served.now = dt.datetime.now(dt.UTC)
    served.renew()
    served.watch.look()
    assert served.levels()[3:] == [Level.OK]


def test_a_pair_that_does_not_fit_leaves_the_old_one_in_place(served: Served) -> None:
    first, certificate = served.serial_shown(), served.files.certificate.read_bytes()
    served.renew()
    renewed = served.files.certificate.read_bytes()
    served.files.certificate.write_bytes(certificate)  # its key alone is there so far
    served.watch.look()
    assert served.levels() == [Level.INFO]

    for _ in range(3):
        served.watch.look()
    assert served.levels() == [Level.INFO, Level.WARNING]
    assert served.serial_shown() == first

    served.files.certificate.write_bytes(renewed)
    served.watch.look()
    assert served.serial_shown() == served.serial_on_disk() != first


def test_files_that_are_gone_change_nothing_and_may_come_back(served: Served) -> None:
    first, certificate = served.serial_shown(), served.files.certificate.read_bytes()
    served.files.certificate.unlink()
    for _ in range(3):
        served.watch.look()

    assert served.serial_shown() == first
    assert served.levels() == [Level.INFO, Level.WARNING]

    served.files.certificate.write_bytes(certificate)
    for _ in range(3):
        served.watch.look()
    assert served.levels() == [Level.INFO, Level.WARNING, Level.INFO]


def test_an_ended_certificate_is_an_alarm_as_soon_as_it_is_served(served: Served) -> None:
    told: list[tuple[Level, str]] = []

    async def scenario() -> None:
        heard = asyncio.Event()
        pair = (served.files.certificate, served.files.key)

        def tell(level: Level, source: str, _: str, about: str = "") -> None:
            told.append((level, source))
            heard.set()

        async with asyncio.timeout(120), kept_fresh(tell, "alice", pair, served.context):
            await heard.wait()

    served.end()
    asyncio.run(scenario())

    assert told == [(Level.ALARM, "alice")]
