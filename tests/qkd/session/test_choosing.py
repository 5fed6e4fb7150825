"""Both ends take the reconciliation that settings allow and the way calls for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.qkd import messages
from qnx_hw.qkd.finite_key import binary_entropy
from qnx_hw.qkd.parameters import Reconciliation, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import KeyPending
from qnx_hw.qkd.session.choosing import ALLOWED, Way, choose
from qnx_hw.qkd.session.rounds import MIN_TEST_BITS

SETTINGS = st.sampled_from(list(Reconciliation))


def held(setting: Reconciliation = Reconciliation.AUTO, count_leak: str = "alice") -> Any:
    return SessionParameters(link="test", reconciliation=setting, count_leak=count_leak)


@given(
    SETTINGS,
    st.sampled_from(["both", "pattern", "alice"]),
    st.none() | st.floats(0.0, 100.0),
    st.floats(0.0, 1e5),
    st.integers(0, 10**7),
)
def test_whatever_is_chosen_is_allowed(
    setting: Reconciliation, count: str, round_trip_s: float | None, span_s: float, bits: int
) -> None:
    assert choose(held(setting, count), round_trip_s, span_s, bits) in ALLOWED[setting]


@pytest.mark.parametrize(
    ("round_trip_s", "span_s", "way"),
    [
        (None, 1e9, Way.LOW_ROUND),
        (0.0002, 10.0, Way.LOW_LEAK),
        (0.0002, 0.5, Way.LOW_ROUND),
        (0.02, 10.0, Way.LOW_ROUND),
        (0.02, 600.0, Way.LOW_LEAK),
        (0.06, 600.0, Way.LDPC),
    ],
)
def test_the_round_trip_decides(round_trip_s: float | None, span_s: float, way: Way) -> None:
    assert choose(held(), round_trip_s, span_s, 100_000) is way


@pytest.mark.parametrize(
    ("count_leak", "span_s", "way"),
    [
        ("both", 2.1, Way.LDPC),
        ("both", 1.9, Way.LOW_LEAK),
        ("pattern", 2.1, Way.LDPC),
        ("alice", 2.1, Way.LOW_LEAK),
    ],
)
def test_codes_spare_bits_where_both_directions_count_and_processors_follow(
    count_leak: str, span_s: float, way: Way
) -> None:
    assert choose(held(count_leak=count_leak), 0.0002, span_s, 100_000) is way


def way_of(pair: object) -> set[str]:
    said = (messages.decode(octets) for _, octets in pair.said)
    return {message.way for message in said if isinstance(message, messages.Test)}


@pytest.mark.slow
@pytest.mark.parametrize("count_leak", ["both", "alice"])
def test_codes_make_equal_keys_over_a_long_way_and_count_what_they_tell(
    bench: ModuleType, small: SessionParameters, count_leak: str
) -> None:
    parameters = msgspec.structs.replace(small, count_leak=count_leak)
    pair = bench.Pair(parameters, round_trip_s=lambda: 0.3)
    # One frame in a hundred fails and is left to Cascade; none of this source's does.
    pair.start().feed(*bench.Source(seconds=2.4).blocks())

    assert way_of(pair) == {"ldpc"}
    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    assert alice == bob
    assert 1 in alice
    (made,) = (out.provenance for out in pair.of(Role.BOB, KeyPending) if out.block == 1)
    told = [messages.decode(octets) for role, octets in pair.said if role is Role.BOB]
    corrected = next(each for each in told if isinstance(each, messages.Corrected))
    questions = [each for each in told if isinstance(each, messages.Question) and each.block == 1]
    assert len(questions) <= 12
    leak = corrected.total_z + corrected.total_x
    if count_leak == "alice":
        leak = corrected.alice_z + corrected.alice_x
    assert 0 <= made.leaked_bits - leak <= 2 * 60  # the verification tags
    kept = made.sifted_bits - made.tested_bits
    assert made.tested_bits >= 2 * MIN_TEST_BITS
    assert corrected.alice_z + corrected.alice_x > 0.9 * kept * binary_entropy(made.qber)


@pytest.mark.slow
def test_the_longest_key_is_made_where_it_is_asked_for(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(
        small, reconciliation=Reconciliation.MAX_KEY, count_leak="alice"
    )
    pair = bench.Pair(parameters)
    pair.start().feed(*bench.Source(seconds=2.3, visibility=0.9).blocks())

    assert way_of(pair) == {"max-key"}
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}


@pytest.mark.slow
def test_strings_too_short_for_codes_are_left_to_cascade(
    bench: ModuleType, small: SessionParameters
) -> None:
    parameters = msgspec.structs.replace(
        small, reconciliation=Reconciliation.LDPC, block_sifted_bits=5_000, epsilon_secrecy=1e-4
    )
    pair = bench.Pair(parameters)
    pair.start().feed(*bench.Source(seconds=2.1).blocks())

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    questions = [
        each
        for role, octets in pair.said
        if role is Role.BOB and isinstance(each := messages.decode(octets), messages.Question)
    ]
    assert len(questions) > 20


@pytest.mark.slow
@pytest.mark.parametrize("way", ["ldpc", "nonsense"])
def test_bob_refuses_a_way_that_the_settings_forbid(
    bench: ModuleType, small: SessionParameters, way: str
) -> None:
    def tamper(_: Role, octets: bytes) -> list[bytes]:
        message = messages.decode(octets)
        if isinstance(message, messages.Test):
            octets = messages.encode(msgspec.structs.replace(message, way=way))
        return [octets]

    parameters = msgspec.structs.replace(
        small, reconciliation=Reconciliation.CASCADE, block_sifted_bits=4_000
    )
    pair = bench.Pair(parameters)
    pair.tamper = tamper
    pair.start().feed(*bench.Source(seconds=2.1).blocks())

    assert not pair.keys(Role.ALICE)
    assert not pair.keys(Role.BOB)
    assert any("settings forbid" in reason for reason in pair.reasons(Role.BOB))


@pytest.mark.slow
@pytest.mark.parametrize("place", [0.0, 0.4, 0.97])
@pytest.mark.parametrize("target", [messages.Question, messages.Answer])
@pytest.mark.parametrize(
    ("setting", "action"), [("auto", "flip"), ("auto", "forge"), ("max-key", "flip")]
)
def test_a_changed_message_never_gives_different_keys(
    bench: ModuleType,
    small: SessionParameters,
    target: type,
    setting: str,
    action: str,
    place: float,
) -> None:
    is_done = False

    def tamper(_: Role, octets: bytes) -> list[bytes]:
        nonlocal is_done
        message = messages.decode(octets)
        if is_done or not isinstance(message, target) or not message.z:
            return [octets]
        is_done = True
        at = int(place * len(message.z))
        if action == "flip":
            forged = message.z[:at] + bytes([message.z[at] ^ 8]) + message.z[at + 1 :]
        else:
            forged = np.random.default_rng(at).bytes(len(message.z))
        return [messages.encode(msgspec.structs.replace(message, z=forged))]

    parameters = msgspec.structs.replace(
        small,
        block_sifted_bits=8_000,
        epsilon_secrecy=1e-6,
        reconciliation=Reconciliation(setting),
        count_leak="alice",
    )
    pair = bench.Pair(parameters, round_trip_s=lambda: 0.3)
    pair.tamper = tamper
    visibility = 0.96 if setting == "auto" else 0.9
    pair.start().feed(*bench.Source(seconds=2.1, visibility=visibility).blocks())

    assert is_done
    assert way_of(pair) == {"ldpc" if setting == "auto" else setting}
    alice, bob = pair.keys(Role.ALICE), pair.keys(Role.BOB)
    assert 1 not in alice
    assert 1 not in bob
    assert all(alice[block] == key for block, key in bob.items())
