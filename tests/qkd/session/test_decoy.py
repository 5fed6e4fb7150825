"""Decoy BB84 on the simulated bench: two parties, a transmitter, and four detectors."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pulsed_link
import pytest
from bench_sessions import tag_blocks

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.messages import decode, encode
from qnx_hw.qkd.pulses import PulseParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted, Ended, KeyReady, Transmit
from sim_devices.physics.bench import Bench
from sim_devices.physics.decoy import Receiver, Transmitter, gains

pytestmark = pytest.mark.slow


def run(
    module: ModuleType,
    seconds: float,
    pulses: PulseParameters = pulsed_link.TWO_DECOYS,
    made: Bench | None = None,
    **changes: Any,
) -> Any:
    """Run both parties for a while of the bench's time."""
    made = made or pulsed_link.bench(pulses)
    pair = module.Pair(
        pulsed_link.parameters(pulses, **changes),
        transmit=lambda asked: pulsed_link.play(made, asked),
    ).start()
    for block in tag_blocks(made, "bob", seconds):
        pair.feed_bob(block)
    return pair


@pytest.mark.parametrize("pulses", [pulsed_link.TWO_DECOYS, pulsed_link.ONE_DECOY])
def test_both_ends_release_the_same_key(bench: ModuleType, pulses: PulseParameters) -> None:
    pair = run(bench, 3.6, pulses)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    assert pair.reasons(Role.ALICE) == pair.reasons(Role.BOB) == []
    made = pair.of(Role.ALICE, KeyReady)[0].provenance
    assert made == pair.of(Role.BOB, KeyReady)[0].provenance
    assert 0.02 * made.sifted_bits < made.secret_bits < 0.5 * made.sifted_bits


def test_a_training_that_nobody_saw_is_asked_for_again(bench: ModuleType) -> None:
    made = pulsed_link.bench(pulsed_link.TWO_DECOYS)
    pair = bench.Pair(
        pulsed_link.parameters(pulsed_link.TWO_DECOYS), transmit=lambda asked: None
    ).start()

    for block in tag_blocks(made, "bob", 13.0):  # dark counts alone
        pair.feed_bob(block)

    (ended,) = pair.of(Role.BOB, Ended)
    assert ended.reason == "the training was not found among the clicks"
    assert pair.keys(Role.BOB) == pair.keys(Role.ALICE) == {}


def test_a_clock_that_jumped_ends_the_session(bench: ModuleType) -> None:
    made = pulsed_link.bench(pulsed_link.TWO_DECOYS)
    pair = bench.Pair(
        pulsed_link.parameters(pulsed_link.TWO_DECOYS),
        transmit=lambda asked: pulsed_link.play(made, asked),
    ).start()

    has_jumped = False
    for block in tag_blocks(made, "bob", 20.0):
        pair.feed_bob(block)
        if pair.of(Role.BOB, KeyReady) and not has_jumped:
            made.station("bob").clock.disturb(300_000_000_000)
            has_jumped = True
        if pair.of(Role.BOB, Ended):
            break

    assert has_jumped
    reasons = [ended.reason for role in Role for ended in pair.of(role, Ended)]
    assert "the pulses are counted wrongly: a clock may have jumped" in reasons
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB)


def test_rates_and_errors_are_those_of_the_closed_formulas(bench: ModuleType) -> None:
    pulses = pulsed_link.TWO_DECOYS
    heard: list[tuple[int, np.ndarray[Any, Any]]] = []

    def watch(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if isinstance(message, messages.Pairs):
            half = (message.count + 7) // 8
            planes = [message.intensities[:half], message.intensities[half:]]
            low, high = (messages.unpack_bits(plane, message.count) for plane in planes)
            heard.append((message.count, np.bincount(low + 2 * high, minlength=3)))
        return [octets]

    made = pulsed_link.bench(pulses)
    pair = bench.Pair(
        pulsed_link.parameters(pulses), transmit=lambda asked: pulsed_link.play(made, asked)
    )
    pair.tamper = watch
    pair.start()
    for block in tag_blocks(made, "bob", 3.6):
        pair.feed_bob(block)

    sent = Transmitter(pulses.rate_hz, pulses.intensities, pulses.shares, pulses.z_probability)
    seen = Receiver(0.8e-2, 0.7, 0.01, 100.0)
    gain = gains(sent, seen)
    z = pulses.z_probability
    states = np.array([z / 2, z / 2, (1 - z) / 2, (1 - z) / 2])
    per_kind = np.einsum("s,k,skd->k", states, np.array(pulses.shares), gain)
    count, kinds = heard[0]
    # Gates cut the darks, and events in both bases at once are left out: less than a percent.
    assert kinds[:2] / count == pytest.approx(per_kind[:2] / per_kind.sum(), rel=0.01)
    assert kinds[2] < 1.2 * count * per_kind[2] / per_kind.sum()
    shown = pair.metrics(Role.BOB)
    rate = pair.metrics(Role.ALICE).coincidence_rate_cps
    assert rate == pytest.approx(per_kind.sum() * pulses.rate_hz, rel=0.02)
    wrong = np.einsum("k,k->", np.array(pulses.shares), gain[2, :, 3])
    right = np.einsum("k,k->", np.array(pulses.shares), gain[2, :, 2])
    assert abs(shown.qber_x.value - wrong / (wrong + right)) < 4 * shown.qber_x.sigma + 2e-4
    assert shown.clock.drift_ppb == pytest.approx(4000.0, abs=0.1)


def test_intercepted_pulses_make_no_key(bench: ModuleType) -> None:
    eve = {"kind": "intercept-resend", "station": "bob"}
    made = pulsed_link.bench(eavesdropper=eve)
    pair = run(bench, 2.2, made=made, block_sifted_bits=200_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert "error rate" in pair.of(Role.BOB, Aborted)[0].reason
    assert pair.metrics(Role.BOB).qber.value == pytest.approx(0.25, abs=0.02)


def test_light_that_is_no_training_never_begins_a_block(bench: ModuleType) -> None:
    made = pulsed_link.bench()

    def play_other(asked: Transmit) -> None:
        made_up = msgspec.structs.replace(asked.pulses)
        pulsed_link.play(made, Transmit(asked.seed, bytes(16), made_up))

    pair = bench.Pair(pulsed_link.parameters(), transmit=play_other).start()
    for block in tag_blocks(made, "bob", 1.5):
        pair.feed_bob(block)

    assert not any(isinstance(decode(octets), messages.Plan) for _, octets in pair.said)
    assert pair.metrics(Role.BOB).clock.is_locked is False


def test_a_clock_that_jumps_ends_the_session(bench: ModuleType) -> None:
    made = pulsed_link.bench()
    pair = bench.Pair(
        pulsed_link.parameters(), transmit=lambda asked: pulsed_link.play(made, asked)
    ).start()
    random = np.random.default_rng(4)
    for number, block in enumerate(tag_blocks(made, "bob", 1.6)):
        times = block.times_ps
        if number > 12:
            times = np.sort(random.integers(block.start_ps, block.end_ps, times.size))
        pair.feed_bob(TagBlock(times, block.channels, block.start_ps, block.end_ps))

    assert pair.of(Role.BOB, Ended)[0].reason == "the pulses' clock was lost"
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}


@pytest.mark.parametrize("field", ["bases", "intensities"])
def test_a_changed_announcement_costs_the_key(bench: ModuleType, field: str) -> None:
    made = pulsed_link.bench()

    def flip(role: Role, octets: bytes) -> list[bytes]:
        message = decode(octets)
        if isinstance(message, messages.Pairs):
            told = bytearray(getattr(message, field))
            told[len(told) // 5] ^= 16
            return [encode(msgspec.structs.replace(message, **{field: bytes(told)}))]
        return [octets]

    pair = bench.Pair(
        pulsed_link.parameters(block_sifted_bits=200_000),
        transmit=lambda asked: pulsed_link.play(made, asked),
    )
    pair.tamper = flip
    pair.start()
    for block in tag_blocks(made, "bob", 2.2):
        pair.feed_bob(block)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, (Aborted, Ended))


def test_blinded_detectors_are_an_alarm(bench: ModuleType) -> None:
    made = pulsed_link.bench(
        eavesdropper={"kind": "blinding", "station": "bob"}, bob={"loss_db": 13.0}
    )
    pair = run(bench, 1.5, made=made, block_sifted_bits=200_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    given_up = pair.of(Role.BOB, Aborted)
    assert given_up
    assert all(each.is_alarm and "blinded" in each.reason for each in given_up)


def test_shifted_arrival_times_are_an_alarm(bench: ModuleType) -> None:
    attack = {"kind": "time-shift", "station": "bob", "shift_ps": 300}
    pair = run(bench, 2.5, made=pulsed_link.bench(eavesdropper=attack), block_sifted_bits=200_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    given_up = pair.of(Role.BOB, Aborted)
    assert given_up
    assert all(each.is_alarm and "arrival times" in each.reason for each in given_up)


@pytest.mark.parametrize("drift_ppm", [-200.0, 200.0])
def test_a_clock_at_the_end_of_its_range_is_found(bench: ModuleType, drift_ppm: float) -> None:
    made = pulsed_link.bench(bob={"clock_drift_ppm": drift_ppm})
    pair = run(bench, 1.0, made=made, clock_drift_limit_ppm=200.0)

    clock = pair.metrics(Role.BOB).clock
    assert clock.is_locked
    assert clock.drift_ppb == pytest.approx(drift_ppm * 1e3, abs=1.0)
