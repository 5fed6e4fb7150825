"""A classical channel in the hands of an attacker: equal keys or none, never different ones."""

from types import ModuleType

import msgspec
import pytest
from hostile_channel import ACTIONS, KINDS, SEALED, Attack, Target, check
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended

Streams = tuple[list[TagBlock], list[TagBlock]]


@pytest.fixture(scope="module")
def tags(bench: ModuleType) -> Streams:
    return bench.Source(seconds=2.3).blocks()


@pytest.mark.slow
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(KINDS),
    st.sampled_from(ACTIONS),
    st.floats(0, 0.999),
)
def test_any_attack_on_any_message_leaves_equal_keys_or_none(
    bench: ModuleType,
    tags: Streams,
    small: SessionParameters,
    target: Target,
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
    target: Target,
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
