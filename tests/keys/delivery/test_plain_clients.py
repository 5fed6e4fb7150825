"""Clients of all kinds get keys: what HTTP and JSON let them do differently changes nothing."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

from key_sites import check_alive, request, served, talk

from qnx_hw.config import NetworkFile

ENC = b"POST /api/v1/keys/sae-b/enc_keys"
GET = b"GET /api/v1/keys/sae-b/enc_keys"
CLOSE = b"Connection: close"


class Said(NamedTuple):
    """What a client sends, which statuses come back, and how many keys."""

    sent: bytes
    statuses: list[int]
    keys: int


LENGTH = b"Content-Length: 2"
NULLS = (
    b'{"number":null,"size":null,"additional_slave_SAE_IDs":null,'
    b'"extension_mandatory":null,"extension_optional":null,"x":null}'
)
LARGE = b'{"x":"%b"}' % (b"a" * 60_000)
WORDS = {
    "large bodies at once": Said(
        request(ENC, b"Content-Length: %d" % len(LARGE), body=LARGE) * 4 + request(GET, CLOSE),
        [200] * 5,
        5,
    ),
    "JSON with a character set": Said(
        request(ENC, b"content-TYPE: Application/JSON; charset=UTF-8", LENGTH, CLOSE, body=b"{}"),
        [200],
        1,
    ),
    "a form, as curl says it": Said(
        request(ENC, b"Content-Type: application/x-www-form-urlencoded", LENGTH, CLOSE, body=b"{}"),
        [200],
        1,
    ),
    "chunks": Said(
        request(
            ENC,
            b"Transfer-Encoding: chunked",
            CLOSE,
            body=b'1;a=b\r\n{\r\nb\r\n"number": 2\r\n1\r\n}\r\n0\r\nX: y\r\n\r\n',
        ),
        [200],
        2,
    ),
    "HTTP/1.0": Said(request(GET, version=b"1.0"), [200], 1),
    "HTTP/1.0, kept": Said(
        request(GET, b"Connection: Keep-Alive", version=b"1.0") + request(GET, version=b"1.0"),
        [200, 200],
        2,
    ),
    "several at once": Said(request(GET) + request(GET) + request(GET, CLOSE), [200] * 3, 3),
    "a long header": Said(request(GET, b"Cookie: " + b"c" * 12_000, CLOSE), [200], 1),
    "percents": Said(request(b"GET /api/v1/keys/%73ae%2Db/enc_keys?%6eumber=%32", CLOSE), [200], 2),
    "no length on GET, and one of 0": Said(
        request(GET) + request(GET, b"Content-Length: 0", CLOSE), [200, 200], 2
    ),
    "null for what is not said": Said(
        request(ENC, CLOSE, b"Content-Length: %d" % len(NULLS), body=NULLS), [200], 1
    ),
    "a wait for 100": Said(
        request(ENC, b"Expect: 100-Continue", LENGTH, CLOSE, body=b"{}"), [100, 200], 1
    ),
    "no 100 in front of another answer": Said(
        request(GET) + request(ENC, b"Expect: 100-continue", LENGTH, CLOSE, body=b"{}"),
        [200, 200],
        2,
    ),
    "no 100 in HTTP/1.0": Said(
        request(ENC, b"Expect: 100-continue", LENGTH, version=b"1.0", body=b"{}"), [200], 1
    ),
    "another expectation": Said(request(ENC, b"Expect: keys", LENGTH, body=b"{}"), [417], 0),
    "head": Said(request(b"HEAD /api/v1/keys/sae-b/status") + request(GET, CLOSE), [200, 200], 1),
    "head of keys": Said(request(b"HEAD /api/v1/keys/sae-b/enc_keys", CLOSE), [405], 0),
    "options": Said(
        request(b"OPTIONS /api/v1/keys/sae-b/enc_keys") + request(GET, CLOSE), [204, 200], 1
    ),
    "options of all": Said(request(b"OPTIONS *", CLOSE), [404], 0),
}


def test_a_client_that_writes_in_its_own_way_gets_its_keys(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            answers = {
                what: await talk(sites.ports["alice"], sites.tls("sae-a"), said.sent)
                for what, said in WORDS.items()
            }
            await check_alive(sites)

        statuses = {
            what: [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
            for what, answer in answers.items()
        }
        keys = {what: answer.count(b'"key_ID"') for what, answer in answers.items()}
        assert statuses == {what: said.statuses for what, said in WORDS.items()}
        assert keys == {what: said.keys for what, said in WORDS.items()}

    asyncio.run(scenario())


def test_names_are_asked_for_in_either_case_with_empty_extensions(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path) as sites:
            given = await sites.enc("sae-a", "sae-b")
            ((name, key),) = given.keys.items()
            asked = {
                "key_IDs": [{"key_ID": name.upper(), "key_ID_extension": None}],
                "key_IDs_extension": {},
            }
            got = await sites.ask("sae-b", "/api/v1/keys/sae-a/dec_keys", asked)

        assert got.status == 200
        assert list(got.keys.values()) == [key]

    asyncio.run(scenario())


def test_answers_have_the_headers_that_http_wants(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(network, tmp_path, 256) as sites:
            status = "/api/v1/keys/sae-b/status"
            good = await sites.ask("sae-a", status)
            stranger = await sites.dec("sae-c", "sae-a", *(await sites.enc("sae-a", "sae-b")).keys)
            empty = await sites.enc("sae-a", "sae-b", {"number": 128})
            allowed = await sites.ask("sae-a", status, method="OPTIONS")
            wrong = await sites.ask("sae-a", status, method="DELETE")

        date = r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"  # RFC 9110, section 5.6.7
        assert all(re.fullmatch(date, answer.headers["Date"]) for answer in (good, empty, wrong))
        assert (stranger.status, stranger.headers["WWW-Authenticate"]) == (401, "Certificate")
        assert (empty.status, empty.headers["Retry-After"]) == (503, "1")
        assert (allowed.status, allowed.headers["Allow"]) == (204, "GET, HEAD")
        assert "Content-Length" not in allowed.headers
        assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD")

    asyncio.run(scenario())


def test_a_key_manager_is_known_by_all_its_names(network: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> dict[str, bool]:
        async with served(network, tmp_path) as sites:
            port, tls = sites.ports["alice"], sites.tls("sae-a")
            return {
                host: b'"key_ID"' in await talk(port, tls, request(GET, CLOSE), host=host)
                for host in ("127.0.0.1", "localhost", "kms.example", "other.example")
            }

    assert asyncio.run(scenario()) == {
        "127.0.0.1": True,
        "localhost": True,
        "kms.example": True,
        "other.example": False,
    }
