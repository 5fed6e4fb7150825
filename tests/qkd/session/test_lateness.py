"""Each end learns which of its detectors are late: Alice from her times, Bob from Alice."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import msgspec
import numpy as np
import pytest
from bench_sessions import example, settings, tag_blocks

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.qkd import messages
from qnx_hw.qkd.arrivals import ArrivalTimes
from qnx_hw.qkd.messages import decode
from qnx_hw.qkd.parameters import Protocol, SessionParameters
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Ended, Progress
from sim_devices.physics.bench import Bench


@pytest.mark.slow
def test_a_late_detector_is_told_from_the_others(bench: ModuleType) -> None:
    table = example("demo.toml")
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = 100_000.0
    table["bench"]["stations"]["alice"]["delay_ps"] = [0, 0, 2000, 0]
    table["links"]["alice-bob"]["block_sifted_bits"] = 2_500
    laboratory = Bench.from_network(table)
    parameters, stations = settings(table)
    pair = bench.Pair(parameters, stations=stations).start()
    for alice, bob in zip(*(tag_blocks(laboratory, n, 2.5) for n in ("alice", "bob")), strict=True):
        pair.feed([alice], [bob])

    metrics = pair.metrics(Role.ALICE)

    assert metrics.judged_block >= 1
    assert metrics.judged_span_s > 0
    assert metrics.lateness is not None
    late_ps, sigma_ps = np.array(metrics.lateness.late_ps), max(metrics.lateness.sigma_ps)
    others = late_ps[[0, 1, 3]]
    # Bob's times are rounded to the window, so that part of what is late falls out of it.
    assert 500.0 < late_ps[2] < 1600.0
    assert np.ptp(others) < 6 * sigma_ps < 700.0
    assert late_ps.sum() == pytest.approx(0.0, abs=1e-6)
    assert pair.metrics(Role.BOB).lateness is None  # no block was sealed


def _later(block: TagBlock, channel: int, by_ps: int) -> TagBlock:
    times_ps = block.times_ps + np.where(block.channels == channel, by_ps, 0)
    order = np.argsort(times_ps)
    return replace(block, times_ps=times_ps[order], channels=block.channels[order])


@pytest.mark.slow
@pytest.mark.parametrize("protocol", [Protocol.BBM92, Protocol.E91])
def test_bob_is_told_of_his_detectors_with_the_seal(
    bench: ModuleType, small: SessionParameters, protocol: Protocol
) -> None:
    wanted = {"protocol": protocol, "arrival_limit": 0.4, "block_sifted_bits": 10_000}
    is_bell = protocol is Protocol.E91
    alice, bob = bench.Source(bell=is_bell, seconds=2.4).blocks()
    pair = bench.Pair(msgspec.structs.replace(small, **wanted)).start()

    pair.feed(alice, [_later(each, 3, 400) for each in bob])

    assert pair.keys(Role.BOB)
    told = pair.of(Role.BOB, Progress)
    metrics = told[-1].metrics
    assert metrics.late_block in pair.keys(Role.BOB)
    assert metrics.lateness is not None
    off, sigmas = np.array(metrics.lateness.late_ps), np.array(metrics.lateness.sigma_ps)
    assert off.size == (8 if is_bell else 4)
    # Times are rounded to the window, so that a part of what is late falls out of it.
    assert 100.0 < off[2] < 400.0
    assert (np.abs(np.delete(off - off.mean(), 2) + off[2] / off.size) < 6 * sigmas.max()).all()


@pytest.mark.slow
def test_what_is_told_without_a_true_seal_corrects_nothing(
    bench: ModuleType, small: SessionParameters
) -> None:
    def lie(role: Role, octets: bytes) -> list[bytes]:
        heard = decode(octets)
        if isinstance(heard, messages.Arrivals):
            return [
                messages.encode(messages.Arrivals(heard.block, (900, -300, -300, -300), (1,) * 4))
            ]
        return [octets]

    pair = bench.Pair(small)
    pair.tamper = lie
    pair.start().feed(*bench.Source(seconds=2.4).blocks())

    assert pair.of(Role.BOB, Ended)[0].is_alarm
    assert pair.metrics(Role.BOB).lateness is None


def test_few_pairs_say_nothing() -> None:
    times = ArrivalTimes()
    three = np.array([0, 0, 1], dtype=np.uint8)
    times.add(three, three, np.array([1, 2, 3]))

    assert times.lateness is None
