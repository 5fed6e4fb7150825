"""Which faults befall a network, and when: the same seed gives the same faults."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qnx_hw.config import NetworkFile


class Kind(StrEnum):
    """What happens."""

    UNPLUG = "instrument unplugged"
    CUT = "channel cut"
    LOSS = "fibre loss"
    KNOCK = "fibre knocked"
    STORM = "fibre drift storm"
    EAVESDROPPER = "eavesdropper"
    CLOCK = "clock jump"
    KILL = "node killed"
    FREEZE = "node frozen"
    DISK = "disk full"
    CONTROLLER = "controller killed"
    CORE = "core restarted"
    CERTIFICATE = "certificate ended"


ALWAYS_TOLD = frozenset(
    {Kind.CUT, Kind.KILL, Kind.CONTROLLER, Kind.EAVESDROPPER, Kind.UNPLUG, Kind.CERTIFICATE}
)
"""Faults of which the operator must hear."""
Bench = Mapping[str, Any]  # the laboratory's own document
SHORTEST_S, LONGEST_S = 2.0, 6.0
NOTICED_S = 10.0
"""Added to the time of a fault that nodes find out by looking now and then."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One of them."""

    kind: Kind
    target: str
    """`NODE`, `NODE.INSTRUMENT`, a link or a station of the bench."""
    links: tuple[str, ...]
    """Those that it may touch."""
    lasts_s: float
    strength: float = 0.0


def faults(network: NetworkFile, seed: str, kinds: frozenset[Kind]) -> list[Fault]:
    """Return every fault of these kinds that the network can have, once, in a random order."""
    chance = random.Random(seed)  # noqa: S311 (a schedule, no key)
    found: list[Fault] = []

    def add(kind: Kind, target: str, links: tuple[str, ...], strength: float = 0.0) -> None:
        if kind in kinds:
            lasts_s = chance.uniform(SHORTEST_S, LONGEST_S)
            if kind is Kind.CERTIFICATE:
                lasts_s += NOTICED_S
            found.append(Fault(kind, target, links, lasts_s, strength))

    decides = network.controller.node if network.controller is not None else None
    if decides is not None:
        add(Kind.CORE, "core", ())
    for node, section in network.nodes.items():
        touched = _links_of(network, node)
        add(Kind.CONTROLLER if node == decides else Kind.KILL, node, touched)
        add(Kind.FREEZE, node, touched)
        add(Kind.DISK, node, touched)
        if sae_of(network, node) is not None:
            add(Kind.CERTIFICATE, node, touched)
        for instrument in section.instruments:
            add(Kind.UNPLUG, f"{node}.{instrument}", touched)
    for name, link in network.links.items():
        add(Kind.CUT, name, (name,))
        station = _station_of(network, name)
        if station is None:
            continue
        add(Kind.LOSS, station, (name,), chance.uniform(15.0, 25.0))
        add(Kind.EAVESDROPPER, station, (name,), 1.0)
        add(Kind.CLOCK, station, (name,), chance.uniform(0.05, 0.9))
        if link.alignment is not None:
            add(Kind.KNOCK, station, (name,), chance.uniform(0.4, 1.2))
            add(Kind.STORM, station, (name,), 0.05)
    chance.shuffle(found)
    return found


def sae_of(network: NetworkFile, node: str) -> str | None:
    """Return an application that gets its keys at a node; None where there is none."""
    return next((name for name, sae in network.saes.items() if sae.node == node), None)


def loss_db(bench: Bench, station: str) -> float:
    """Return the loss that the bench gives a station's fibre."""
    return float(bench["stations"][station].get("loss_db", 0.0))


def drift(bench: Bench, station: str) -> float:
    """Return how far the bench lets a station's fibre wander."""
    return float(bench["stations"][station].get("drift_rad_per_sqrt_s", 0.0))


def _links_of(network: NetworkFile, node: str) -> tuple[str, ...]:
    return tuple(
        name for name, link in network.links.items() if node in (link.alice.node, link.bob.node)
    )


def _station_of(network: NetworkFile, name: str) -> str | None:
    """Return the bench's station of a link's Bob, by the emulator his tagger speaks to."""
    bob = network.links[name].bob
    url = network.nodes[bob.node].instruments[bob.tagger].url.split("?", 1)[0]
    for emulator in network.bench.get("emulators", {}).values():
        if url in emulator.get("listen", ()):
            station = emulator.get("station")
            return station if isinstance(station, str) else None
    return None
