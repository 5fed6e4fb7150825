"""Whole links on the simulated bench, without wires: keys, and what attacks bring instead."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
import pytest
from bench_sessions import example, settings, tag_blocks

from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Aborted
from sim_devices.physics.bench import Bench

pytestmark = pytest.mark.slow


def play(module: ModuleType, table: dict[str, Any], seconds: float, bits: int) -> Any:
    """Run both parties of a file's link on its bench."""
    parameters, inputs = settings(table)
    parameters = msgspec.structs.replace(parameters, block_sifted_bits=bits)
    pair = module.Pair(parameters, stations=inputs).start()
    bench = Bench.from_network(table)
    streams = zip(*(tag_blocks(bench, role.value, seconds) for role in Role), strict=True)
    for alice, bob in streams:
        pair.feed([alice], [bob])
    return pair


def test_e91_makes_key_and_shows_the_expected_s(bench: ModuleType) -> None:
    table = example("e91.toml")
    pair = play(bench, table, 3.6, 15_000)

    expected = Bench.from_network(table).expected("alice-bob")
    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) != {}
    shown = pair.metrics(Role.BOB)
    assert abs(shown.chsh_s.value - expected.chsh_s) < 4 * shown.chsh_s.sigma + 0.02
    assert abs(shown.qber.value - expected.qber) < 4 * shown.qber.sigma + 0.002


@pytest.mark.parametrize("file", ["e91.toml", "demo.toml"])
def test_intercept_and_resend_shows_25_percent_and_brings_no_key(
    bench: ModuleType, file: str
) -> None:
    table = example(file)
    table["bench"]["eavesdropper"] = {"kind": "intercept-resend", "station": "bob"}
    pair = play(bench, table, 3.0, 15_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    assert pair.of(Role.BOB, Aborted)
    assert pair.metrics(Role.BOB).qber.value == pytest.approx(0.25, abs=0.03)
    assert pair.metrics(Role.BOB).chsh_s.value < 2.0


@pytest.mark.parametrize("file", ["e91.toml", "demo.toml"])
def test_blinded_detectors_are_an_alarm_and_bring_no_key(bench: ModuleType, file: str) -> None:
    table = example(file)
    table["bench"]["eavesdropper"] = {"kind": "blinding", "station": "bob"}
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = 2e6
    pair = play(bench, table, 3.0, 15_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    given_up = pair.of(Role.BOB, Aborted)
    assert given_up
    assert all(each.is_alarm and "blinded" in each.reason for each in given_up)


@pytest.mark.parametrize("station", ["alice", "bob"])
def test_shifted_arrival_times_are_an_alarm_and_bring_no_key(
    bench: ModuleType, station: str
) -> None:
    table = example("demo.toml")
    table["bench"]["eavesdropper"] = {"kind": "time-shift", "station": station, "shift_ps": 2400}
    pair = play(bench, table, 3.0, 15_000)

    assert pair.keys(Role.ALICE) == pair.keys(Role.BOB) == {}
    given_up = pair.of(Role.ALICE, Aborted)
    assert given_up
    assert all(each.is_alarm and "arrival times" in each.reason for each in given_up)
