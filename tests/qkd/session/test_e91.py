"""E91: the session of BBM92 with a CHSH test from settings of its own."""

import dataclasses
import math
from types import ModuleType

import msgspec
import numpy as np
import pytest

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended

Streams = tuple[list[TagBlock], list[TagBlock]]


@pytest.fixture(name="bell")
def _bell(small: SessionParameters) -> SessionParameters:
    return msgspec.structs.replace(small, protocol=Protocol.E91, block_sifted_bits=12_000)


@pytest.fixture(name="tags", scope="module")
def _tags(bench: ModuleType) -> Streams:
    return bench.Source(bell=True, seconds=3.0).blocks()


def test_both_ends_release_the_same_key_and_measure_s(
    bench: ModuleType, tags: Streams, bell: SessionParameters
) -> None:
    pair = bench.Pair(bell).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    ours, theirs = pair.metrics(Role.ALICE), pair.metrics(Role.BOB)
    assert ours.chsh_s == theirs.chsh_s
    assert abs(ours.chsh_s.value - 2**1.5 * 0.96) < 5 * ours.chsh_s.sigma
    assert abs(ours.qber.value - 0.02) < 5 * ours.qber.sigma
    # Half of Bob's rounds are in the Bell settings, a quarter of all makes key.
    assert ours.sifted_bits / ours.pairs == pytest.approx(0.25, abs=0.02)
    trials = ours.pairs / 8
    expected_sigma = math.sqrt(4 * (1 - 0.48 * 0.96) / trials)
    assert ours.chsh_s.sigma == pytest.approx(expected_sigma, rel=0.1)


def test_intercepted_pairs_show_no_violation_and_make_no_key(
    bench: ModuleType, bell: SessionParameters
) -> None:
    tags = bench.Source(bell=True, seconds=3.0, intercepted=True).blocks()
    loose = msgspec.structs.replace(bell, qber_limit=0.11)
    pair = bench.Pair(loose).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    for role in Role:
        # Measured in Z or X and sent again: E = cos(2 22.5 deg)/2 in each setting, S = sqrt(2).
        seen = pair.metrics(role).chsh_s
        assert abs(seen.value - 2**0.5 * 0.96) < 5 * seen.sigma
        assert pair.of(role, Aborted)


def test_a_link_below_its_minimum_of_s_gets_no_key(
    bench: ModuleType, tags: Streams, bell: SessionParameters
) -> None:
    pair = bench.Pair(msgspec.structs.replace(bell, chsh_minimum=2.8)).start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert "CHSH" in pair.of(Role.BOB, Aborted)[0].reason


def test_the_protocol_is_part_of_what_both_ends_must_agree_on(
    bench: ModuleType, bell: SessionParameters, small: SessionParameters
) -> None:
    other = msgspec.structs.replace(bell, protocol=Protocol.BBM92)
    pair = bench.Pair(bell, theirs=other).start()

    assert "settings" in pair.of(Role.ALICE, Ended)[0].reason


def test_settings_that_are_left_out_cost_the_block(
    bench: ModuleType, tags: Streams, bell: SessionParameters
) -> None:
    def forget(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if isinstance(message, messages.Bases):
            return [encode(msgspec.structs.replace(message, settings=b""))]
        return [octets]

    pair = bench.Pair(bell)
    pair.tamper = forget
    pair.start().feed(*tags)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert pair.of(Role.ALICE, Aborted)


@pytest.mark.parametrize(("channel", "angle"), [(5, "22.5"), (8, "157.5")])
def test_a_detector_of_the_bell_settings_that_is_late_is_an_alarm(
    bench: ModuleType, tags: Streams, bell: SessionParameters, channel: int, angle: str
) -> None:
    late = []
    for block in tags[1]:
        times = block.times_ps + 900 * (block.channels == channel)
        times = np.minimum(times, block.end_ps - 1)
        order = np.argsort(times, kind="stable")
        late.append(
            dataclasses.replace(block, times_ps=times[order], channels=block.channels[order])
        )
    pair = bench.Pair(bell).start().feed(tags[0], late)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    given_up = pair.of(Role.ALICE, Aborted)
    assert given_up
    assert all(each.is_alarm and f"Bob's detector {angle}°" in each.reason for each in given_up)
