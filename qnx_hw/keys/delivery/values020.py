"""The values of ETSI GS QKD 020 V1.1.1 that key managers exchange, and ours inside them.

The standard carries a key's value over TLS. Here both ends hold the bits already, so `value` is
empty and the mandatory extension `E32473_qnx_orders` says where they lie; 32473 is the enterprise
number for documentation (RFC 5612). What the standard has no words for, the comparison of
ledgers and pads, goes to a path of its own beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from qnx_hw.errors import UNREADABLE, RequestRefused
from qnx_hw.keys import names
from qnx_hw.keys.ledger import Count, Order, Run
from qnx_hw.keys.messages import Reserve

VERSIONS_PATH = b"/kmapi/versions"
EXT_KEYS = b"/kmapi/v1/ext_keys"
ACK = b"/kmapi/v1/ext_keys/ack"
VOID = b"/kmapi/v1/ext_keys/void"
LEDGERS = b"/kmapi/v1/qnx/ledgers"
"""Ours: what the standard has no words for."""
MAX_BODY_BYTES = 8 << 20
"""`MOST_REQUESTS` of `MOST_KEYS` names each, about 60 bytes a name; also for an answer."""
ORDERS = "E32473_qnx_orders"
PROBLEMS = "https://qkd.etsi.org/gs020-interop-kms/"
SYNCHRONOUS = "synchronous_mode"
VERSION = "v1"
VERSIONS = msgspec.json.encode({"versions": [VERSION], "capabilities": [SYNCHRONOUS]})
RELAYED, FAILED, VOIDED, ABSENT = "relayed", "failed", "voided", "key not present"


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What a key manager speaks."""

    versions: tuple[str, ...]
    capabilities: tuple[str, ...] = ()


# Named a thousand in a message: what the garbage collector would look at takes half the reading.
class ExtKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One key of a transfer."""

    key_id: str
    value: str


class PartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Where the next keys of a transfer lie; ours."""

    runs: tuple[Run, ...]
    n_bits: Count
    expires_s: float
    may_be_simulated: bool

    @property
    def count(self) -> int:
        """How many keys of the transfer it covers."""
        return sum(run.count for run in self.runs)


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """Our mandatory extension."""

    link: str
    parts: tuple[PartOrder, ...]


class ExtKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer of keys from one key manager to another."""

    keys: tuple[ExtKey, ...]
    initiator_sae_id: str
    target_sae_ids: tuple[str, ...]
    ack_callback_url: str = ""
    """Where to post the acknowledgement; the answer waits for it where none is named."""
    extension_mandatory: dict[str, Any] = {}


class KeyIdHolder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A key named in an acknowledgement."""

    key_id: str


class Ack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of some keys."""

    key_id_container: tuple[KeyIdHolder, ...]
    ack_status: str
    initiator_sae_id: str
    target_sae_ids: tuple[str, ...]
    message: str = ""


class Void(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that the sender takes back."""

    key_ids: tuple[str, ...]
    initiator_sae_id: str
    target_sae_ids: tuple[str, ...]
    ack_callback_url: str = ""
    all_confirmation: bool = False
    """Means all keys of the initiator, where none is named."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An error, RFC 9457."""

    type: str
    status: int
    title: str


_EXT_KEYS = msgspec.json.Decoder(ExtKeys)


def transfer(reserves: Sequence[Reserve], ack_callback_url: str = "") -> bytes:
    """Return the body that carries reservations of one link, one master and the same holders."""
    first = reserves[0]
    parts = tuple(
        PartOrder(
            runs=each.order.runs,
            n_bits=each.order.n_bits,
            expires_s=each.order.expires_s,
            may_be_simulated=each.order.may_be_simulated,
        )
        for each in reserves
    )
    key_ids = [name for each in reserves for name in each.order.key_ids]
    return msgspec.json.encode(
        {
            "keys": listed(key_ids, b',"value":""'),
            "initiator_sae_id": first.order.master,
            "target_sae_ids": first.order.holders,
            "extension_mandatory": {ORDERS: Orders(link=first.link, parts=parts)},
        }
        | ({"ack_callback_url": ack_callback_url} if ack_callback_url else {})
    )


def listed(key_ids: Sequence[str], more: bytes = b"") -> msgspec.Raw:
    """Return a list of objects, each with one `key_id` and what else all have.

    Written at once for all: as objects of their own they would cost most of a transfer.
    """
    begin, end = b'{"key_id":', more + b"}"
    written = msgspec.json.encode(key_ids)[1:-1].replace(b",", end + b"," + begin)
    return msgspec.Raw(b"[" + begin + written + end + b"]" if written else b"[]")


def named(key_ids: Sequence[str], problem: str) -> tuple[str, ...]:
    """Return names as the store knows them; refused where one is no UUID, RFC 9562."""
    lower = tuple([key_id.lower() for key_id in key_ids])
    try:
        names.packed(lower)
    except ValueError:
        raise RequestRefused(problem, 400) from None
    return lower


def reservations(body: bytes) -> tuple[list[Reserve], str]:
    """Read a transfer, the opposite of `transfer`, and where to acknowledge it."""
    try:
        asked = _EXT_KEYS.decode(body)
        if set(asked.extension_mandatory) != {ORDERS}:
            raise RequestRefused("unsupported-mandatory-extension", 503)
        orders = msgspec.convert(asked.extension_mandatory[ORDERS], Orders)
    except UNREADABLE:
        raise RequestRefused("missing-parameters", 400) from None
    key_ids = named([key.key_id for key in asked.keys], "missing-parameters")
    adds_up = sum(part.count for part in orders.parts) == len(key_ids)
    if not adds_up or any(key.value for key in asked.keys):
        raise RequestRefused("missing-parameters", 400)
    found, at = [], 0
    for part in orders.parts:
        order = Order(
            key_ids=key_ids[at : at + part.count],
            runs=part.runs,
            n_bits=part.n_bits,
            master=asked.initiator_sae_id,
            holders=asked.target_sae_ids,
            expires_s=part.expires_s,
            may_be_simulated=part.may_be_simulated,
        )
        found.append(Reserve(orders.link, order))
        at += part.count
    return found, asked.ack_callback_url
