"""Who must not get in does not, whatever is sent gets an answer, and the service stays up."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from key_sites import Sites, check_alive, request, served, talk

from qnx_hw.config import NetworkFile
from qnx_hw.keys import pki
from qnx_hw.keys.delivery.http import Request, Response, Service, serving
from qnx_hw.keys.delivery.identity import client_name, name_in, server_side
from qnx_hw.keys.delivery.qkd014 import refuse
from qnx_hw.node.key_service import receiving_peers

STATUS = b"GET /api/v1/keys/sae-b/status HTTP/1.1\r\nHost: x\r\n"
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Forger:
    """Makes the certificates that no honest authority makes."""

    def __init__(self, folder: Path, network: NetworkFile) -> None:
        self._folder = folder
        files = pki.authority(network.certificates, pki.SAE_AUTHORITY)
        self.parent = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self.parent_key = key

    def make(
        self,
        names: list[str],
        *,
        days: int = 10,
        usage: x509.ObjectIdentifier = CLIENT,
        is_self_signed: bool = False,
        kind: x509.ObjectIdentifier = NameOID.COMMON_NAME,
    ) -> pki.Files:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(kind, name) for name in names])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if is_self_signed else self.parent.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=20))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("sae-a")]), critical=False)
            .sign(key if is_self_signed else self.parent_key, SHA256())
        )
        files = pki.Files(self._folder / "forged.pem", self._folder / "forged.key")
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


def context(network: NetworkFile, files: pki.Files | None) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(pki.authority(network.certificates, pki.SAE_AUTHORITY).certificate)
    if files is not None:
        tls.load_cert_chain(files.certificate, files.key)
    return tls


Make = Callable[[Forger, NetworkFile], pki.Files | None]
INTRUDERS: dict[str, tuple[Make, bytes]] = {
    "no certificate": (lambda _, __: None, b""),
    "expired": (lambda forger, _: forger.make(["sae-a"], days=-1), b""),
    "self-signed": (lambda forger, _: forger.make(["sae-a"], is_self_signed=True), b""),
    "server's use": (
        lambda forger, _: forger.make(["sae-a"], usage=ExtendedKeyUsageOID.SERVER_AUTH),
        b"",
    ),
    "key manager to SAEs": (lambda _, network: pki.of_kme(network.certificates, "alice"), b""),
    "key manager to peers": (lambda _, network: pki.of_peer(network.certificates, "bob"), b""),
    "unknown name": (lambda forger, _: forger.make(["sae-x"]), b" 401 "),
    "another site's": (lambda _, network: pki.of_sae(network.certificates, "sae-b"), b" 401 "),
    "two names": (lambda forger, _: forger.make(["sae-a", "sae-b"]), b" 401 "),
    "no name": (lambda forger, _: forger.make([]), b" 401 "),
    "alternative name only": (
        lambda forger, _: forger.make(["sae-a"], kind=NameOID.ORGANIZATION_NAME),
        b" 401 ",
    ),
    "other case": (lambda forger, _: forger.make(["SAE-A"]), b" 401 "),
    "wildcard": (lambda forger, _: forger.make(["*"]), b" 401 "),
    "trailing NUL": (lambda forger, _: forger.make(["sae-a\0"]), b" 401 "),
    "trailing space": (lambda forger, _: forger.make(["sae-a "]), b" 401 "),
}


@pytest.mark.parametrize("who", INTRUDERS)
def test_no_certificate_but_an_saes_own_gets_in(
    network: NetworkFile, tmp_path: Path, who: str
) -> None:
    async def scenario() -> None:
        make, expected = INTRUDERS[who]
        files = make(Forger(tmp_path, network), network)
        async with served(network, tmp_path) as sites:
            before = await sites.pair.alice.stock_bits("bob")
            path = STATUS.replace(b"status", b"enc_keys") + b"Connection: close\r\n\r\n"
            answer = await talk(sites.ports["alice"], context(network, files), path)

            assert answer[8 : 8 + len(expected)] == expected
            assert b"key_ID" not in answer
            assert (answer == b"") == (expected == b"")
            assert await sites.pair.alice.stock_bits("bob") == before
            await check_alive(sites)

    asyncio.run(scenario())


def test_nothing_older_than_tls_1_3_is_spoken(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            tls = sites.tls("sae-a")
            tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_2
            assert await talk(sites.ports["alice"], tls, STATUS + b"\r\n") == b""
            await check_alive(sites)

    asyncio.run(scenario())


def test_no_session_can_be_resumed(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            tls = sites.tls("sae-a")
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", sites.ports["alice"], ssl=tls
            )
            writer.write(STATUS + b"Connection: close\r\n\r\n")
            assert b" 200 " in await reader.read()
            session = writer.get_extra_info("ssl_object").session
            writer.transport.abort()
            assert session is None or not session.has_ticket

    asyncio.run(scenario())


def test_an_saes_certificate_does_not_open_the_key_managers_port(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with (
            served(network, tmp_path) as sites,
            receiving_peers(network, sites.pair.bob, lambda *_: None) as address,
        ):
            tls = sites.tls("sae-a")
            tls.load_verify_locations(
                pki.authority(network.certificates, pki.KME_AUTHORITY).certificate
            )
            request = b"GET /kmapi/versions HTTP/1.1\r\nHost: x\r\n\r\n"
            assert await talk(int(address.rpartition(":")[2]), tls, request) == b""

    asyncio.run(scenario())


class Said(NamedTuple):
    """What a client sends after a good handshake, and which statuses come back."""

    sent: bytes
    statuses: list[int]


ENC = b"POST /api/v1/keys/sae-b/enc_keys"
WORDS = {
    "forged headers": Said(
        request(
            b"GET /api/v1/keys/sae-b/status",
            b"X-SSL-Client-CN: sae-b",
            b"X-Forwarded-For: 127.0.0.1",
            b"Authorization: Basic c2FlLWI6",
            b"Connection: close",
        ),
        [200],
    ),
    "both lengths": Said(
        request(ENC, b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n{}"),
        [400],
    ),
    "two lengths": Said(
        request(ENC, b"Content-Length: 2", b"Content-Length: 4", body=b"{}{}"), [400]
    ),
    "hidden second request": Said(
        request(ENC, b"Content-Length: 0", body=b"G") + STATUS + b"\r\n", [400, 400]
    ),
    "bare line feeds": Said(b"GET /api/v1/keys/sae-b/status HTTP/1.1\nHost: x\n\n", [400]),
    "no host": Said(b"GET /x HTTP/1.1\r\n\r\n", [400]),
    "two hosts": Said(request(b"GET /x", b"Host: y"), [400]),
    "the whole address": Said(
        request(b"GET https://x/api/v1/keys/sae-b/status", b"Connection: close"), [200]
    ),
    "folded header": Said(request(b"GET /x", b"A: b\r\n c"), [400]),
    "space before colon": Said(request(ENC, b"Content-Length : 2", body=b"{}"), [400]),
    "odd transfer coding": Said(request(ENC, b"Transfer-Encoding: xchunked", body=b"{}"), [400]),
    "upgrade": Said(request(b"GET /x", b"Connection: upgrade", b"Upgrade: h2c"), [404]),
    "HTTP/2": Said(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "noise": Said(bytes(range(256)), [400]),
    "length in words": Said(request(ENC, b"Content-Length: two", body=b"{}"), [400]),
    "length beyond numbers": Said(request(ENC, b"Content-Length: " + b"9" * 5000), [400]),
    "huge body announced": Said(request(ENC, b"Content-Length: 9999999999"), [413]),
    "huge body sent": Said(request(ENC, b"Content-Length: 150000", body=bytes(150_000)), [413]),
    "endless trailer": Said(
        request(ENC, b"Transfer-Encoding: chunked", body=b"0\r\nX: " + b"x" * 600_000),
        [431],
    ),
    "huge chunked body": Said(
        request(ENC, b"Transfer-Encoding: chunked", body=b"11000\r\n" + bytes(0x11000)), [413]
    ),
    "huge header": Said(request(b"GET /x", b"A: " + b"b" * 20_000), [431]),
    "endless header": Said(b"GET /x HTTP/1.1\r\nA: " + b"b" * 200_000, [431]),
    "huge path": Said(request(b"GET /" + b"x" * 3000), [414]),
    "path tricks": Said(
        b"".join(
            request(b"GET " + path)
            for path in (
                b"/api/v1/keys/../keys/sae-b/status",
                b"/api/v1/keys/sae-b/status/",
                b"//api/v1/keys/sae-b/status",
                b"/api/v1/keys/sae-b/../sae-c/status",
                b"/api/v1/keys/sae-b%2fstatus",
                b"/api/v1/keys/sae-b;x/status",
                b"/api/v1/keys/sae-b%00/status",
                b"/api/v1/keys/%ff/status",
                b"/api/v1/keys//status",
                b"/api/v1/keys/sae-b/STATUS",
                b"/API/v1/keys/sae-b/status",
                b"http://x/api/v1/keys/sae-b/status",
                b"/",
            )
        )
        + request(b"GET /", b"Connection: close"),
        [404, 404, 404, 404, 404, 400, 400, 400, 400, 404, 404, 404, 404, 404],
    ),
    "wrong methods": Said(
        request(b"DELETE /api/v1/keys/sae-b/enc_keys")
        + request(b"POST /api/v1/keys/sae-b/status", b"Content-Length: 2", body=b"{}")
        + request(b"PUT /api/v1/keys/sae-b/dec_keys", b"Connection: close"),
        [405, 405, 405],
    ),
    "odd queries": Said(
        b"".join(
            request(b"GET /api/v1/keys/sae-b/enc_keys?" + query)
            for query in (
                b"number=1&number=2",
                b"number=-1",
                b"number=1e3",
                b"number=%31%30%30%30",
                b"size=",
                b"count=1",
                b"number",
                b"&".join([b"number=1"] * 50),
            )
        )
        + request(b"GET /", b"Connection: close"),
        [400] * 8 + [404],
    ),
}


@pytest.mark.parametrize("what", WORDS)
def test_whatever_is_sent_gets_its_answer(network: NetworkFile, tmp_path: Path, what: str) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            answer = await talk(sites.ports["alice"], sites.tls("sae-a"), WORDS[what].sent)
            await check_alive(sites)

        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
        assert statuses == WORDS[what].statuses
        assert b"key_ID" not in answer

    asyncio.run(scenario())


def test_a_wrong_method_is_told_the_right_ones_and_head_gets_no_body(
    network: NetworkFile, tmp_path: Path
) -> None:
    sent = request(b"HEAD /api/v1/keys/sae-b/dec_keys") + request(b"GET /", b"Connection: close")

    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            answer = await talk(sites.ports["alice"], sites.tls("sae-a"), sent)

        head, body, rest = answer.split(b"\r\n\r\n", 2)
        assert b"\r\nAllow: GET, POST\r\n" in head
        assert body.startswith(b"HTTP/1.1 404 ")
        assert rest.startswith(b'{"message"')

    asyncio.run(scenario())


async def _half_a_request(port: int, tls: ssl.SSLContext) -> None:
    assert await talk(port, tls, STATUS) == b""


async def _no_handshake(port: int, _: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await reader.read() == b""
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("stall", [_half_a_request, _no_handshake])
def test_slow_clients_are_cut_off(
    network: NetworkFile,
    tmp_path: Path,
    stall: Callable[[int, ssl.SSLContext], Awaitable[None]],
) -> None:
    own, authority = (
        pki.of_kme(network.certificates, "alice"),
        pki.authority(network.certificates, pki.SAE_AUTHORITY),
    )
    tls = server_side(own.certificate, own.key, authority.certificate)

    async def answer(_: Request) -> Response:
        return Response(200, b"{}")

    service = Service(answer, client_name, refuse, request_deadline_s=0.5, handshake_deadline_s=0.5)

    async def scenario() -> None:
        async with serving(service, "127.0.0.1", 0, tls) as address, asyncio.TaskGroup() as tasks:
            port = int(address.rpartition(":")[2])
            client = Sites(network, None, {"alice": port}).tls("sae-a")
            for _ in range(20):
                tasks.create_task(stall(port, client))
            # Who is as quick as anybody still gets an answer.
            heard = await talk(port, client, request(b"GET /", b"Connection: close"))
            assert heard.startswith(b"HTTP/1.1 200 ")

    asyncio.run(scenario())


def test_the_name_in_a_certificate_is_read_strictly(network: NetworkFile, tmp_path: Path) -> None:
    forger = Forger(tmp_path, network)

    def name(*names: str) -> str | None:
        files = forger.make(list(names))
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        return name_in(certificate.public_bytes(Encoding.DER))

    assert name("urn:lab:d/1") == "urn:lab:d/1"
    assert [name("a\nb"), name("ä"), name("a", "a"), name(), name("x" * 64)] == [
        *(None, None, None, None),
        "x" * 64,
    ]
    assert name_in(b"no certificate") is name_in(None) is None


def test_thirty_two_clients_race_for_one_key(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "sae-b")
            async with asyncio.TaskGroup() as tasks:
                racing = [
                    tasks.create_task(sites.dec("sae-b", "sae-a", *given.keys)) for _ in range(32)
                ]
            answers = [task.result() for task in racing]

        assert sorted(answer.status for answer in answers) == [200] + [400] * 31
        assert [answer.keys for answer in answers if answer.status == 200] == [given.keys]

    asyncio.run(scenario())
