"""A party that is killed at any message: both ledgers hold the same, and the link goes on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pulsed_link
import pytest
from bench_sessions import tag_blocks
from hostile_channel import KINDS, Target
from stored_links import LINK, SECTION, Killed, StoredLink, Streams, keepers, stores

from qnx_hw.config import ChannelMap, LinkSection, SecuritySection, StationSection
from qnx_hw.config.pulses import PulsesSection
from qnx_hw.keys import TAGS, KeyStore
from qnx_hw.qkd import messages
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

pytestmark = pytest.mark.slow

BELL = ChannelMap(H=1, V=2, D=3, A=4, deg_22_5=5, deg_112_5=6, deg_67_5=7, deg_157_5=8)
E91 = msgspec.structs.replace(
    SECTION, protocol="e91", bob=StationSection(node="x", tagger="t", channels=BELL)
)


def pulsed(pulses: PulseParameters) -> LinkSection:
    """Return a decoy BB84 link with these pulses."""
    return LinkSection(
        alice=StationSection(node="x", transmitter="t"),
        bob=StationSection(node="x", tagger="t"),
        protocol="decoy-bb84",
        pulses=PulsesSection(
            rate_hz=pulses.rate_hz,
            intensities=pulses.intensities,
            shares=pulses.shares,
            z_probability=pulses.z_probability,
            training_s=pulses.training_s,
        ),
        coincidence_window_ps=1500,
        clock_drift_limit_ppm=20.0,
        block_sifted_bits=100_000,
        security=SecuritySection(
            cross_click_limit=0.2,
            test_fraction=0.02,
            epsilon_secrecy=0.1,
            epsilon_correctness=1e-3,
        ),
    )


@pytest.fixture(name="streams", scope="module")
def _streams(bench: ModuleType) -> Any:
    return bench.Source(seconds=2.4, visibility=0.99).blocks()


LAST = (Role.BOB, messages.Seal), (Role.ALICE, messages.Release)


@pytest.mark.parametrize(
    ("victim", "signed"),
    [
        ((Role.ALICE, messages.Pairs), False),
        ((Role.BOB, messages.Corrected), False),
        ((Role.ALICE, messages.Amplify), False),
        ((Role.ALICE, messages.Seal), False),
        *((victim, signed) for victim in LAST for signed in (False, True)),
    ],
    ids=lambda given: f"{given[0]}-{given[1].__name__}" if isinstance(given, tuple) else None,
)
def test_ledgers_agree_after_a_death(
    tmp_path: Path, streams: Streams, victim: tuple[Role, type], signed: bool
) -> None:
    folder = tmp_path if signed else None
    with stores(tmp_path, signed=signed) as held:
        with pytest.raises(Killed):
            StoredLink(keepers(held, SECTION, folder), victim).run(streams)
        StoredLink(keepers(held, SECTION, folder)).run(streams)

        assert_agreed(held, victim)


@pytest.mark.parametrize("victim", LAST, ids=lambda victim: victim[1].__name__)
def test_e91s_ledgers_agree_after_a_death(
    bench: ModuleType, tmp_path: Path, victim: tuple[Role, type]
) -> None:
    streams = bench.Source(seconds=2.6, visibility=0.99, bell=True).blocks()
    with stores(tmp_path) as held:
        with pytest.raises(Killed):
            StoredLink(keepers(held, E91), victim).run(streams)
        StoredLink(keepers(held, E91)).run(streams)

        assert_agreed(held, victim)


@pytest.mark.parametrize(
    ("protocol", "victims"),
    # One decoy more or less changes one message, and it is among the last.
    [("e91", KINDS), ("two-decoys", KINDS), ("one-decoy", KINDS[-5:])],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_death_at_any_message_parts_no_ledgers(
    bench: ModuleType, tmp_path: Path, protocol: str, victims: list[Target]
) -> None:
    """Each session dies one message later than the one before; the last one lives."""
    pulses = {"two-decoys": pulsed_link.TWO_DECOYS, "one-decoy": pulsed_link.ONE_DECOY}
    section = pulsed(pulses[protocol]) if protocol in pulses else E91

    def run(victim: Target | None) -> None:
        if protocol not in pulses:
            StoredLink(keepers(held, section), victim).run(streams)
            return
        made = pulsed_link.bench(pulses[protocol])
        link = StoredLink(
            keepers(held, section), victim, lambda asked: pulsed_link.play(made, asked)
        )
        for block in tag_blocks(made, "bob", 1.5):
            link.feed(None, block)

    streams = bench.Source(seconds=2.6, visibility=0.99, bell=True).blocks()
    with stores(tmp_path) as held:
        for victim in victims:
            with pytest.raises(Killed):
                run(victim)
        run(None)

        assert_equal(held)


def assert_agreed(held: dict[Role, KeyStore], victim: tuple[Role, type]) -> None:
    """Both ledgers hold the same keys and pads, and nothing waits."""
    stored = assert_equal(held)
    # A block that Alice had stored before she died is Bob's as well, by its token.
    assert (min(stored) == 1) is (victim == (Role.ALICE, messages.Release))


def assert_equal(held: dict[Role, KeyStore]) -> set[int]:
    """Both ledgers hold the same keys and pads, and nothing waits; return which blocks."""
    salt = Secret(b"test")
    alice, bob = (held[role].digests(LINK, salt) for role in Role)
    assert alice == bob
    assert len(alice) >= 1
    assert all(store.memory(LINK).pending is None for store in held.values())
    tags = [[store.stock_bits(LINK, each) for each in TAGS] for store in held.values()]
    assert tags[0] == tags[1]
    return set(alice)
