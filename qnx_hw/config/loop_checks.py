"""What a link's closed loops need of the rest of the network file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from qnx_hw.errors import ConfigError

if TYPE_CHECKING:
    from qnx_hw.config.network import LinkSection, NodeSection, StationSection


def check_loops(link: LinkSection, nodes: Mapping[str, NodeSection], place: str) -> None:
    """Raise `ConfigError` with the place of the first thing that is missing."""
    for where, reason in _missing(link, nodes):
        raise ConfigError(f"{place}.{where}: {reason}")


def _missing(link: LinkSection, nodes: Mapping[str, NodeSection]) -> Iterator[tuple[str, str]]:
    if link.alignment is not None:
        end = link.alignment.end
        station = getattr(link, end)
        if station.polarization is None and not link.alignment.instruments:
            yield "alignment.end", f"the station of {end} names no `polarization` instrument"
        if link.alignment.target >= link.security.qber_limit:
            limit = f"{link.security.qber_limit:g}, above which a block is given up"
            yield "alignment.target", f"it must be below security.qber_limit, {limit}"
        for name in link.alignment.instruments:
            yield from _absent("alignment.instruments", name, station.node, nodes)
    for end in ("alice", "bob"):
        station = getattr(link, end)
        if station.delays is not None and not station.tagger:
            yield f"{end}.delays", "there is no tagger whose times could be corrected"
        if station.delays is not None and station.channels.switch is not None:
            yield f"{end}.delays", "a switch swaps the detectors' roles: they are not told apart"
        for table in ("bias", "thresholds"):
            if (section := getattr(station, table)) is not None:
                yield from _detectors(f"{end}.{table}", section.instruments, station, nodes)
    if link.window is not None and link.window.low_ps >= link.window.high_ps:
        yield "window", "low_ps must be below high_ps"
    yield from _lights(link, nodes)


def _detectors(
    where: str,
    instruments: tuple[str, ...],
    station: StationSection,
    nodes: Mapping[str, NodeSection],
) -> Iterator[tuple[str, str]]:
    """A bank at this end, or one instrument for each input of its tagger."""
    inputs = len(station.channels.inputs)
    if not station.tagger or not (station.detectors or instruments):
        yield where, "the loop needs `detectors` and a `tagger` at this end"
    if instruments and len(instruments) != inputs:
        yield f"{where}.instruments", f"there are {len(instruments)} for {inputs} tagger inputs"
    for name in instruments:
        yield from _absent(f"{where}.instruments", name, station.node, nodes)


def _lights(link: LinkSection, nodes: Mapping[str, NodeSection]) -> Iterator[tuple[str, str]]:
    if link.pump is not None:
        if link.pulses is not None:
            yield "pump", "a transmitter of pulses has no pair source; see [links.….launch]"
        yield from _absent("pump.attenuator", link.pump.attenuator, link.alice.node, nodes)
    if link.launch is not None:
        if link.pulses is None:
            yield "launch", "there are no [links.….pulses] whose mean could be held"
        for kind in ("attenuator", "power_meter"):
            name = getattr(link.launch, kind)
            yield from _absent(f"launch.{kind}", name, link.alice.node, nodes)


def _absent(
    where: str, name: str, node: str, nodes: Mapping[str, NodeSection]
) -> Iterator[tuple[str, str]]:
    if name not in nodes[node].instruments:
        yield where, f"node '{node}' has no instrument '{name}'"
