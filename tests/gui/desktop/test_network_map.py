"""The map: which ways there are, where things stand, and choosing them with mouse and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from fake_node import sample_link
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from sample_network import sample_network

from gui.desktop.network_map import NetworkMap, places, ways
from qnx_hw.api.schema import LinkPhase, NodeView
from qnx_hw.api.traffic import HopView

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

    from gui.desktop.look import Look

NAMES = st.sampled_from(["alice", "bob", "relay", "lab", "edge"])
PAIRS = st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1])


def hop(source: str, target: str, load: float = 0.5) -> HopView:
    return HopView(
        name=f"{source} {target}", source=source, target=target, is_up=True, capacity_bps=1e9,
        load_bps=load * 1e9,
    )  # fmt: skip


def site(name: str, x: float, y: float) -> NodeView:
    return NodeView(name=name, is_online=True, position=(x, y), pool_bits=1, pool_capacity_bits=2)


@given(st.lists(PAIRS, unique=True), st.lists(PAIRS, unique=True))
def test_each_pair_of_sites_has_one_way_with_all_that_joins_it(
    linked: list[tuple[str, str]], hopped: list[tuple[str, str]]
) -> None:
    links = [sample_link(name=f"{a}-{b}", alice=a, bob=b) for a, b in linked]
    hops = [hop(a, b) for a, b in hopped]

    found = ways(links, hops)

    assert {frozenset((way.a, way.b)) for way in found} == {
        frozenset(pair) for pair in linked + hopped
    }
    assert len(found) == len({(way.a, way.b) for way in found})
    assert {each.name for way in found for each in way.hops} == {each.name for each in hops}
    assert all((way.there or hop(way.a, way.b)).source == way.a for way in found)


@pytest.mark.parametrize("phase", list(LinkPhase))
def test_a_link_that_rests_is_down_unless_traffic_still_passes(phase: LinkPhase) -> None:
    link = sample_link(phase=phase)
    rests = phase in (LinkPhase.IDLE, LinkPhase.STOPPED, LinkPhase.FAULT)

    (alone,) = ways([link], [])
    (carrying,) = ways([link], [hop("alice", "bob"), hop("bob", "alice", 2.0)])

    assert alone.is_down is rests
    assert not carrying.is_down
    assert carrying.loads == (0.5, 1.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_sites_stand_inside_the_map_and_apart(positions: list[tuple[float, float]]) -> None:
    found = places(site(f"n{number}", x, y) for number, (x, y) in enumerate(positions))

    assert len(found) == len(positions)
    assert all(-1e-9 <= each <= 1 + 1e-9 for place in found.values() for each in place)
    if len(set(positions)) < len(positions):
        assert len({(round(x, 6), round(y, 6)) for x, y in found.values()}) == len(found)


@pytest.fixture
def network_map(qtbot: QtBot, look: Look) -> NetworkMap:
    shown = NetworkMap(look)
    qtbot.addWidget(shown)
    shown.resize(620, 420)
    network = sample_network()
    shown.show_network(network.nodes, network.links, network.hops)
    shown.show()
    return shown


def click(qtbot: QtBot, shown: NetworkMap, *place: str, aside: int = 0) -> None:
    at = shown.point(place).toPoint() + QPoint(aside, aside)
    qtbot.mouseClick(shown, Qt.MouseButton.LeftButton, pos=at)


def test_a_click_chooses_a_site_or_a_link(network_map: NetworkMap, qtbot: QtBot) -> None:
    told: list[tuple[str, str]] = []
    network_map.chosen.connect(lambda kind, name: told.append((kind, name)))

    click(qtbot, network_map, "relay")
    click(qtbot, network_map, "alice", "bob", aside=2)
    click(qtbot, network_map, "lab", "relay", aside=80)

    assert told == [("node", "relay"), ("link", "alice-bob")]
    assert network_map.selection == ()


def test_arrow_keys_reach_every_site_and_enter_opens_it(
    network_map: NetworkMap, qtbot: QtBot
) -> None:
    network_map.setFocus()
    opened: list[tuple[str, str]] = []
    network_map.activated.connect(lambda kind, name: opened.append((kind, name)))
    keys = [Qt.Key.Key_Left, Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_Down]
    reached = {("alice",)}
    frontier = list(reached)

    while frontier:
        start = frontier.pop()
        for key in keys:
            network_map.choose(start)
            qtbot.keyClick(network_map, key)
            if network_map.selection not in reached:
                reached.add(network_map.selection)
                frontier.append(network_map.selection)
    network_map.choose(("lab",))
    qtbot.keyClick(network_map, Qt.Key.Key_Return)

    sites = {"alice", "bob", "relay", "edge-1", "edge-2", "lab"}
    assert {place[0] for place in reached if len(place) == 1} == sites
    assert ("alice", "relay") in reached
    assert opened == [("node", "lab")]


def test_resting_on_a_way_tells_its_numbers_and_asks_for_its_past(
    network_map: NetworkMap, qtbot: QtBot
) -> None:
    wanted: list[tuple[str, str]] = []
    network_map.past_wanted.connect(lambda kind, name: wanted.append((kind, name)))

    qtbot.mouseMove(network_map, network_map.point(("alice", "bob")).toPoint())
    qtbot.waitUntil(lambda: wanted == [("link", "alice-bob")], timeout=120_000)

    bare = network_map.grab().toImage()
    network_map.show_past("link", "bob-edge-1", (1.0, 2.0, 1.0))
    assert network_map.grab().toImage() == bare, "the past of something else is not shown"
    network_map.show_past("link", "alice-bob", (1.0, 2.0, 1.0))
    assert network_map.grab().toImage() != bare
    assert network_map.words(("alice", "bob"))[1:3] == (
        "generating, BBM92",
        "secret key 3.4 kbit/s, QBER 2.3 %",
    )


def test_the_choice_is_told_to_screen_readers(network_map: NetworkMap) -> None:
    network_map.choose(("edge-1",))

    assert network_map.accessibleName() == "Network map"
    assert "key in stock 31.0 Mbit (31 %)" in network_map.accessibleDescription()


def test_a_route_lifts_out_its_ways_and_goes_away_again(network_map: NetworkMap) -> None:
    plain = network_map.grab().toImage()

    network_map.show_routes([(("alice", "relay", "edge-2"), 1.0)])
    lifted = network_map.grab().toImage()
    network_map.show_routes([])

    assert lifted != plain
    assert network_map.grab().toImage() == plain


def test_a_site_that_went_away_is_let_go(network_map: NetworkMap) -> None:
    network_map.choose(("lab",))
    network = sample_network()
    left = [node for node in network.nodes if node.name != "lab"]

    network_map.show_network(left, network.links, network.hops)

    assert network_map.selection == ()
    assert network_map.words(("alice",))[1] == "online, 3 instruments"


def test_an_instrument_in_trouble_is_named_on_its_site(network_map: NetworkMap) -> None:
    network = sample_network()
    lost = msgspec.structs.replace(
        network.nodes[0].instruments[0], state="reconnecting", error="the cable is out"
    )
    alice = msgspec.structs.replace(network.nodes[0], instruments=(lost,))

    network_map.show_network((alice, *network.nodes[1:]), network.links, network.hops)

    assert "tagger: reconnecting, the cable is out" in network_map.words(("alice",))
