"""A planned link: physics against closed formulas, checks, and a file that the node takes."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_network import sample_network

from qnx_hw.config import parse
from qnx_hw.config.editing import edit

pytest.importorskip("PySide6.QtWidgets")

from gui.desktop.wizard.checks import Grade, checks
from gui.desktop.wizard.plan import End, LinkPlan, changes, counts, expect

EXAMPLE = (Path(__file__).parents[2] / "examples" / "demo.toml").read_text()
ALICE = End(node="alice", tagger="tagger", detectors="detectors", polarization="polarization")
BOB = replace(ALICE, node="bob")
PLAN = LinkPlan(name="second", alice=ALICE, bob=BOB)


def test_without_loss_noise_and_dead_time_only_the_state_makes_errors() -> None:
    clean = End(loss_db=0.0, efficiency=1.0, dark_cps=0.0)
    plan = replace(
        PLAN, alice=clean, bob=clean, pair_rate_hz=1e5, visibility=0.9, window_ps=10, dead_time_ps=0
    )

    expected = expect(plan)

    assert expected.pairs_cps == pytest.approx(1e5)
    assert expected.accidentals_cps == pytest.approx(1e5 * 1e5 * 10e-12)
    assert expected.qber == pytest.approx(0.05, abs=1e-5)
    assert expected.car == pytest.approx(1 / (1e5 * 10e-12))


def test_three_decibels_at_each_end_leave_a_quarter_of_the_pairs() -> None:
    free = expect(
        replace(
            PLAN, dead_time_ps=0, alice=replace(ALICE, loss_db=0.0), bob=replace(BOB, loss_db=0.0)
        )
    )
    far = expect(replace(PLAN, dead_time_ps=0, alice=replace(ALICE, loss_db=3.0103),
                         bob=replace(BOB, loss_db=3.0103)))  # fmt: skip

    assert far.pairs_cps / free.pairs_cps == pytest.approx(0.25, rel=1e-4)


@given(st.floats(1e3, 1e9), st.floats(0.0, 40.0), st.floats(0.0, 1.0), st.integers(10, 100_000))
def test_an_error_rate_lies_between_the_states_and_a_half(
    rate_hz: float, loss_db: float, visibility: float, window_ps: int
) -> None:
    plan = replace(
        PLAN,
        pair_rate_hz=rate_hz,
        visibility=visibility,
        window_ps=window_ps,
        bob=replace(BOB, loss_db=loss_db),
    )

    expected = expect(plan)

    assert (1 - visibility) / 2 - 1e-9 <= expected.qber <= 0.5 + 1e-9
    assert expected.singles_a_cps <= 4 / (plan.dead_time_ps * 1e-12)
    block = counts(plan, expected)
    assert block.leak <= block.n
    assert block.n + block.k == pytest.approx(plan.block_sifted_bits / 2, abs=2)


@pytest.mark.parametrize("protocol", ["bbm92", "e91", "decoy-bb84"])
def test_a_plan_becomes_a_network_file_that_is_accepted(protocol: str) -> None:
    bob = replace(BOB, inputs=tuple(range(1, 9))) if protocol == "e91" else BOB
    plan = replace(PLAN, protocol=protocol, bob=bob)
    text = EXAMPLE
    if plan.is_pulsed:
        plan = replace(plan, alice=End(node="alice", transmitter="tagger", inputs=(1, 2, 3, 4)))

    wanted = [
        (each.path, list(each.value) if isinstance(each.value, tuple) else each.value)
        for each in changes(plan)
    ]
    edited = edit(text, wanted)

    link = parse(edited.text).links["second"]
    assert link.protocol == protocol
    assert not link.autostart
    assert link.bob.node == "bob"
    assert tomllib.loads(edited.text)["links"]["second"]["security"]["qber_limit"] == 0.08
    if plan.is_pulsed:
        assert link.pulses is not None
        assert link.pulses.intensities == (0.5, 0.1)


def grades(plan: LinkPlan) -> dict[str, Grade]:
    network = sample_network()
    nodes = {node.name: node for node in network.nodes}
    return {check.words: check.grade for check in checks(plan, nodes, network.links)}


def test_a_good_plan_misses_nothing() -> None:
    found = grades(PLAN)

    assert Grade.MISSING not in found.values()
    assert found["the name 'second' is free"] is Grade.GOOD
    assert found["Alice's 'tagger' answers (TDC1, simulated)"] is Grade.GOOD


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (replace(PLAN, name="Big Name"), "is no name"),
        (replace(PLAN, name="alice-bob"), "there is a link 'alice-bob' already"),
        (replace(PLAN, bob=ALICE), "both ends are at 'alice'"),
        (replace(PLAN, bob=End(node="mars")), "Bob has no node"),
        (replace(PLAN, alice=replace(ALICE, tagger="")), "Alice has no tagger"),
        (replace(PLAN, alice=replace(ALICE, tagger="gone")), "no instrument 'gone'"),
        (replace(PLAN, bob=replace(BOB, inputs=(1, 2, 3, 3))), "Bob needs 4 different inputs"),
        (replace(PLAN, protocol="e91"), "Bob needs 8 different inputs"),
        (replace(PLAN, protocol="decoy-bb84", shares=(0.5, 0.2)), "sum to 1"),
    ],
)
def test_what_is_missing_is_said_first(plan: LinkPlan, words: str) -> None:
    found = grades(plan)

    assert [each for each, grade in found.items() if grade is Grade.MISSING and words in each]
    assert next(iter(found.values())) is Grade.MISSING


def test_a_plan_that_would_abort_every_block_is_warned_of() -> None:
    found = grades(replace(PLAN, visibility=0.8))

    assert any("every block would abort" in words for words in found)
