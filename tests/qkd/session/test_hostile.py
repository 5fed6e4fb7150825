"""A classical channel in the hands of an attacker: equal keys or none, never different ones."""

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended, KeyPending

Streams = tuple[list[TagBlock], list[TagBlock]]

KINDS = [
    (Role.ALICE, messages.Hello),
    (Role.BOB, messages.Hello),
    (Role.ALICE, messages.Plan),
    (Role.BOB, messages.Times),
    (Role.ALICE, messages.Pairs),
    (Role.BOB, messages.Bases),
    (Role.ALICE, messages.Test),
    (Role.BOB, messages.Disclosure),
    (Role.BOB, messages.Question),
    (Role.ALICE, messages.Answer),
    (Role.BOB, messages.Corrected),
    (Role.ALICE, messages.Amplify),
    (Role.ALICE, messages.Seal),
    (Role.BOB, messages.Seal),
    (Role.ALICE, messages.Release),
]

SEALED = [kind for kind in KINDS if kind[1] not in (messages.Hello, messages.Release)]


class Attack:
    """Does something to the first message of a kind, and lets all others pass."""

    def __init__(self, target: tuple[Role, type], action: str, place: float = 0.5) -> None:
        self._target, self._action, self._place = target, action, place
        self._held: bytes | None = None
        self.is_done = False

    def __call__(self, role: Role, message: bytes) -> list[bytes]:
        if self._held is not None and role is self._target[0]:
            held, self._held = self._held, None
            return [message, held]
        is_target = role is self._target[0] and isinstance(decode(message), self._target[1])
        if self.is_done or not is_target:
            return [message]
        self.is_done = True
        return self._changed(message)

    def _changed(self, message: bytes) -> list[bytes]:
        at = int(self._place * len(message))
        match self._action:
            case "drop":
                return []
            case "repeat":
                return [message, message]
            case "delay":
                self._held = message
                return []
            case "cut":
                return [message[:at]]
            case "flip":
                bit = 1 << int(self._place * 1e6) % 8
                return [message[:at] + bytes([message[at] ^ bit]) + message[at + 1 :]]
            case _:
                return [np.random.default_rng(at).bytes(len(message))]


@pytest.fixture(scope="module")
def tags(bench: ModuleType) -> Streams:
    return bench.Source(seconds=2.3).blocks()


def check(pair: Any) -> None:
    """Whatever happened, no two keys of one block differ, and Bob is never ahead of Alice."""
    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    pending = {o.block: o.pending.key.reveal() for o in pair.of(Role.BOB, KeyPending)}
    for block, key in bob.items():
        assert alice[block] == key
    for block, key in alice.items():
        assert pending[block] == key


@pytest.mark.slow
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(["drop", "repeat", "delay", "cut", "flip", "forge"]),
    st.floats(0, 0.999),
)
def test_any_attack_on_any_message_leaves_equal_keys_or_none(
    bench: ModuleType,
    tags: Streams,
    small: SessionParameters,
    target: tuple[Role, type],
    action: str,
    place: float,
) -> None:
    pair = bench.Pair(small)
    pair.tamper = Attack(target, action, place)

    pair.start().feed(*tags)

    assert pair.tamper.is_done
    check(pair)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("target", SEALED, ids=lambda kind: f"{kind[0]}-{kind[1].__name__}")
def test_a_changed_bit_in_a_block_costs_its_key(
    bench: ModuleType,
    tags: Streams,
    small: SessionParameters,
    target: tuple[Role, type],
    place: float,
) -> None:
    pair = bench.Pair(small)
    pair.tamper = Attack(target, "flip", place)

    pair.start().feed(*tags)

    check(pair)
    assert 1 not in pair.keys(Role.ALICE)
    assert 1 not in pair.keys(Role.BOB)


def test_a_changed_disclosure_that_hides_errors_is_found_out(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    heard: list[messages.Test] = []

    def flatter(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if isinstance(message, messages.Test):
            heard.append(message)
        if isinstance(message, messages.Disclosure):
            return [encode(msgspec.structs.replace(message, outcomes_z=heard[-1].outcomes_z))]
        return [octets]

    pair = bench.Pair(small)
    pair.tamper = flatter
    pair.start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, Ended) or pair.of(Role.BOB, Aborted)


def test_ends_that_share_no_secret_raise_the_alarm(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    other = bench.authenticators(seed=5)
    ends = {Role.ALICE: bench.authenticators()[Role.ALICE], Role.BOB: other[Role.BOB]}

    pair = bench.Pair(small, authenticators=ends).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, Ended)[0].is_alarm
    assert pair.of(Role.ALICE, Ended)


def test_without_pads_the_session_ends_and_keeps_no_key(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    pair = bench.Pair(small, authenticators=bench.authenticators(pads=0)).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert "pad" in pair.of(Role.ALICE, Ended)[0].reason
    assert not pair.of(Role.ALICE, Ended)[0].is_alarm


def test_a_forged_abort_after_the_seals_does_not_part_the_ends(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    def replace_release(role: Role, octets: bytes) -> list[bytes]:
        if isinstance(decode(octets), messages.Release):
            return [encode(messages.Abort(1, "forged"))]
        return [octets]

    pair = bench.Pair(small)
    pair.tamper = replace_release
    pair.start().feed(*tags)

    check(pair)
    assert list(pair.keys(Role.ALICE)) == [1]
    assert pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, Ended)


def test_what_the_peer_writes_is_not_shown(
    bench: ModuleType, tags: Streams, small: SessionParameters
) -> None:
    def slander(role: Role, octets: bytes) -> list[bytes]:
        if isinstance(decode(octets), messages.Pairs):
            return [encode(messages.Abort(1, "call this number"))]
        return [octets]

    pair = bench.Pair(small)
    pair.tamper = slander
    pair.start().feed(*tags)

    assert pair.of(Role.BOB, Aborted)
    assert "number" not in " ".join(pair.reasons(Role.BOB))


@pytest.mark.parametrize(
    "message",
    [
        messages.Plan(7, 10**12),
        messages.Release(9, bytes(16)),
        messages.Times(3, 0, 10**9, False, b""),
        messages.Probe(0, 10**9, b""),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_out_of_turn_ends_bobs_session(
    bench: ModuleType, small: SessionParameters, message: messages.AnyMessage
) -> None:
    pair = bench.Pair(small).start()

    outputs = pair.sessions[Role.BOB].receive(encode(message))

    assert any(isinstance(output, Ended) for output in outputs)


@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x91\xa5hello"])
def test_bytes_that_are_no_message_end_the_session(
    bench: ModuleType, small: SessionParameters, octets: bytes
) -> None:
    pair = bench.Pair(small).start()

    assert any(isinstance(o, Ended) for o in pair.sessions[Role.ALICE].receive(octets))


def test_nothing_is_heard_before_a_greeting(bench: ModuleType, small: SessionParameters) -> None:
    session = bench.Pair(small).sessions[Role.BOB]

    assert any(isinstance(o, Ended) for o in session.receive(encode(messages.Plan(1, 10**12))))
