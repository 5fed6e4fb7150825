"""Cisco's Secure Key Integration Protocol (draft-cisco-skip), over the same keys as 014.

A system is an SAE: a router's `localSystemID` is the name in its certificate. `/key` is *Get key*,
`/key/{keyId}` is *Get key with key IDs*; keys and names are hexadecimal. TLS with certificates on
both sides, on the listener of 014; TLS with a pre-shared key is not offered.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from qnx_hw.config import KeysSection
from qnx_hw.errors import (
    ChannelError,
    KeyExhausted,
    KeyNotFound,
    NotEntitled,
    RequestRefused,
    StoreFailed,
)
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.qkd014 import Registry, refuse
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.ledger import Quota, Wish

CAPABILITIES, KEY, ENTROPY = b"/capabilities", b"/key", b"/entropy"
KEY_ID = re.compile(rb"/key/([0-9A-Fa-f]{32})")
MOST_ENTROPY_BITS = 4096
DEFAULT_BITS = 256


def is_skip(path: bytes) -> bool:
    """Whether a path is one of this protocol's."""
    return path in (CAPABILITIES, ENTROPY, KEY) or path.startswith(b"/key/")


class Skip:
    """Answers the routers beside one node."""

    def __init__(self, kme: Kme, registry: Registry, offer: KeysSection) -> None:
        self._kme = kme
        self._registry = registry
        self._offer = offer

    async def answer(self, caller: str, request: Request) -> Response:
        """Answer one request of a router."""
        if request.method != "GET":
            return refuse(405, "this protocol asks with GET", ("GET",))
        if request.body:
            return refuse(400, "this protocol asks without a body")
        try:
            return await self._answer(caller, request.path, _parameters(request.query))
        except RequestRefused as error:
            return refuse(error.status, str(error))
        except (KeyNotFound, NotEntitled):
            return refuse(404, "there is no such key for this system")
        except (KeyExhausted, ChannelError, StoreFailed) as error:
            return refuse(503, str(error))

    async def _answer(self, caller: str, path: bytes, given: Mapping[str, str]) -> Response:
        if path == CAPABILITIES:
            return self._capabilities(caller)
        if path == ENTROPY:
            return _entropy(given)
        if path == KEY:
            return await self._key(caller, given)
        return await self._key_by_id(caller, path, given)

    def _capabilities(self, caller: str) -> Response:
        others = [
            sae for sae, section in self._registry.saes.items() if section.node in self._kme.peers
        ]
        return _json(
            entropy=True,
            key=True,
            algorithm="QKD",
            localSystemID=caller,
            remoteSystemID=others,
        )

    async def _key(self, caller: str, given: Mapping[str, str]) -> Response:
        remote = self._remote(given)
        n_bits = _bits(given.get("size"), DEFAULT_BITS)
        offer, saes = self._offer, self._registry.saes
        if not offer.min_key_size <= n_bits <= offer.max_key_size or n_bits % 8:
            span = f"{offer.min_key_size} to {offer.max_key_size}"
            raise RequestRefused(f"size shall be {span} bits and a multiple of 8", 400)
        own = saes[caller]
        wish = Wish(
            n_bits,
            keep_bits=offer.reserve_bits,
            may_be_simulated=own.may_receive_simulated and saes[remote].may_receive_simulated,
            quota=None if own.bits_per_day is None else Quota(caller, own.bits_per_day),
        )
        (key,) = await self._kme.reserve(
            saes[remote].node, wish, master=caller, holders=(remote,), ttl_s=offer.ttl_s
        )
        return _key(key.key_id.replace("-", ""), key.secret.reveal())

    async def _key_by_id(self, caller: str, path: bytes, given: Mapping[str, str]) -> Response:
        remote = self._remote(given)
        named = KEY_ID.fullmatch(path)
        if named is None:
            raise RequestRefused("a keyId is 32 hexadecimal digits", 400)
        name = uuid.UUID(named[1].decode())
        (secret,) = await self._kme.take(caller, remote, [str(name)])
        return _key(name.hex, secret.reveal())

    def _remote(self, given: Mapping[str, str]) -> str:
        remote = given.get("remoteSystemID")
        if remote is None:
            raise RequestRefused("remoteSystemID is missing", 400)
        if remote not in self._registry.saes:
            raise RequestRefused("the remote system is not known", 404)
        if self._registry.saes[remote].node not in self._kme.peers:
            raise RequestRefused("no link leads to the remote system", 404)
        return remote


def _parameters(query: bytes) -> dict[str, str]:
    try:
        text = query.decode("ascii")
        pairs = parse_qsl(text, True, strict_parsing=bool(query), max_num_fields=8)
    except ValueError:
        raise RequestRefused("the query cannot be read", 400) from None
    if len(dict(pairs)) != len(pairs):
        raise RequestRefused("a parameter is given twice", 400)
    return dict(pairs)


def _bits(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise RequestRefused("sizes are whole numbers of bits", 400)
    return int(text)


def _entropy(given: Mapping[str, str]) -> Response:
    n_bits = _bits(given.get("minentropy"), DEFAULT_BITS)
    if not 1 <= n_bits <= MOST_ENTROPY_BITS:
        raise RequestRefused(f"minentropy shall be 1 to {MOST_ENTROPY_BITS}", 400)
    n_bytes = -(-n_bits // 8)
    return _json(randomStr=secrets.token_hex(n_bytes), minentropy=8 * n_bytes)


def _json(**members: object) -> Response:
    return Response(200, msgspec.json.encode(members))


def _key(name: str, octets: bytes) -> Response:
    """Write a key by hand, so that no value holds it."""
    body = b'{"keyId":"%b","key":"%b"}' % (name.encode(), octets.hex().encode())
    return Response(200, body)
