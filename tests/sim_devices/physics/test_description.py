"""Reading the bench's part of a network file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from physics_benches import network

from sim_devices.physics.bench import Bench
from sim_devices.physics.description import read

DEMO = Path(__file__).parents[3] / "examples" / "demo.toml"
ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.lists(st.integers(), max_size=3), st.floats()
)


def test_demo_is_read_with_its_link_and_slots() -> None:
    laboratory = read(tomllib.loads(DEMO.read_text(encoding="utf-8")))

    link = laboratory.links["alice-bob"]
    assert (link.alice, link.bob) == ("alice", "bob")
    assert link.resolution_ps == (2000, 2000)
    assert laboratory.stations["bob"].clock_offset_s == 1.7


def test_demo_shows_few_errors() -> None:
    expected = Bench.from_network(tomllib.loads(DEMO.read_text(encoding="utf-8"))).expected(
        "alice-bob"
    )

    assert 0.015 < expected.qber < 0.03
    assert 2.6 < expected.chsh_s < 2.8


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("stations", "alice", "efficiency"), 1.5, "bench.stations.alice.efficiency: 1.5"),
        (("stations", "alice", "efficiency"), [0.5, 0.5], "one number or 4"),
        (("stations", "alice", "loss_db"), "much", "bench.stations.alice.loss_db: must be a num"),
        (("stations", "alice", "loss_dB"), 3.0, "bench.stations.alice.loss_dB: unknown"),
        (("stations", "alice", "rotation"), "some", "'some' is none of identity, random"),
        (("stations", "alice", "jitter_histogram"), [0, 0], "needs a count above zero"),
        (("stations", "alice"), 3, "bench.stations.alice: must be a table"),
        (("sources", "spdc", "arms"), ["alice", "eve"], "there is no .bench.stations.eve."),
        (("sources", "spdc", "arms"), ["alice"], "two or more"),
        (("sources", "spdc", "arms"), "alice", "list of texts"),
        (("sources", "spdc", "kind"), "lamp", "bench.sources.spdc.kind: 'lamp'"),
        (("sources", "spdc", "state"), "phi", "bench.sources.spdc.state: 'phi'"),
        (("sources", "spdc", "state"), [[0, 0]] * 4, "not all zero"),
        (("sources", "spdc", "state"), [[1], [2, 3]], "four .re, im."),
        (("sources", "spdc", "pair_rate_hz"), float("nan"), "nan is not within"),
        (("sources", "spdc", "modes"), 2.0, "need pulse_rate_hz"),
        (("seed",), 1.5, "bench.seed: must be a whole number"),
        (("seed",), True, "bench.seed: must be a whole number"),
        (("colour",), "red", "bench.colour: unknown"),
        (("eavesdropper",), {"station": "carol"}, "bench.eavesdropper.station"),
        (("eavesdropper",), {"kind": "blinding"}, "bench.eavesdropper.station: is missing"),
    ],
)
def test_wrong_values_are_refused_by_their_place(
    place: tuple[str, ...], value: object, words: str
) -> None:
    raw = network()
    table: dict[str, Any] = raw["bench"]
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value

    with pytest.raises(ValueError, match=words):
        read(raw)


@given(st.sampled_from(["loss_db", "efficiency", "dead_time_ps", "node", "rotation"]), ODD)
def test_nothing_but_value_errors_comes_out(name: str, value: object) -> None:
    try:
        read(network({name: value}))
    except ValueError as error:
        complaint = str(error)
    else:
        complaint = f"bench.stations.alice.{name}"

    assert complaint.startswith(f"bench.stations.alice.{name}")


def test_station_may_stand_at_a_node_of_another_name() -> None:
    raw = network({"node": "north"})
    raw["links"]["alice-bob"]["alice"]["node"] = "north"

    assert read(raw).links["alice-bob"].alice == "alice"


def test_links_to_nodes_without_a_station_are_left_out() -> None:
    raw = network()
    raw["links"]["alice-bob"]["bob"]["node"] = "elsewhere"

    assert read(raw).links == {}


def test_state_may_be_given_by_its_amplitudes() -> None:
    named = read(network(source={"state": "phi+"})).sources[0].pair

    given_ = read(network(source={"state": [[2, 0], [0, 0], [0, 0], [2, 0]]})).sources[0].pair

    assert np.allclose(given_, named)
