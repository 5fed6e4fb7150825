"""The closed loops of a node, as the network file wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from qnx_hw.api.schema import LinkPhase
from qnx_hw.api.teller import Teller
from qnx_hw.config import LinkSection, NetworkFile
from qnx_hw.control.loop import Title
from qnx_hw.node.alignment import Alignment
from qnx_hw.node.bias_loop import BiasLoop, ThresholdsLoop
from qnx_hw.node.delays_loop import DelaysLoop
from qnx_hw.node.judged import Judged
from qnx_hw.node.light_loops import LaunchLoop, PumpLoop
from qnx_hw.node.loop_runner import LoopRunner, NodeLoop
from qnx_hw.node.station import Station
from qnx_hw.node.tags import TagFeed
from qnx_hw.node.window_loop import SetWindow, WindowLoop
from qnx_hw.qkd.roles import Role

KEY_RATE, OF_KEY = "bit/s", "of the key"
"""What loops lose that know by how much key, or by which part of it."""


def make_loops(
    network: NetworkFile,
    node: str,
    stations: Mapping[str, Station],
    feeds: Mapping[str, TagFeed],
    set_window: SetWindow,
    tell: Teller,
) -> list[LoopRunner]:
    """Return the loops of a node's ends of links; each hears of the blocks of its link."""
    made = []
    for link, station in stations.items():
        site = _Site(network, node, link, station)
        kinds = [*site.ours(feeds), *site.of_alice(set_window)]
        runners = [LoopRunner(kind, tell) for kind in kinds]
        late = [LoopRunner(kind, tell) for kind in site.delays(feeds)]
        station.judged.on_judged, station.judged.on_late = _all(runners), _all(late)
        made += [*runners, *late]
    return made


class _Site:
    """One end of a link, and what the loops there are called."""

    def __init__(self, network: NetworkFile, node: str, link: str, station: Station) -> None:
        self._folder = network.folder_of(node) / "loops"
        self._node = node
        self._link = link
        self._station = station
        self._section: LinkSection = network.links[link]
        is_alice = self._section.alice.node == node
        self._role = Role.ALICE if is_alice else Role.BOB
        self._end = self._section.alice if is_alice else self._section.bob

    def ours(self, feeds: Mapping[str, TagFeed]) -> Iterator[NodeLoop]:
        """Yield the loops that either end may have."""
        alignment, end = self._section.alignment, self._end
        if alignment is not None and alignment.end == self._role.value:
            parts = alignment.instruments or ((end.polarization,) if end.polarization else ())
            title = self._title("polarization", ", ".join(parts), "QBER")
            folder = self._folder / f"{self._link}-polarization"
            yield Alignment(title, self._role, alignment, parts, folder)
        inputs = end.channels.inputs
        if end.bias is not None:
            parts = end.bias.instruments or self._bank
            title = self._title("bias", ", ".join(parts), KEY_RATE, name=f"{self._role} bias")
            folder = self._folder / f"{self._link}-{self._role}-bias"
            rates_cps = feeds[end.tagger].rates_cps
            yield BiasLoop(title, end.bias, inputs, rates_cps, folder, parts)
        if end.thresholds is not None:
            parts = end.thresholds.instruments or self._bank
            title = self._title(
                "threshold", ", ".join(parts), KEY_RATE, name=f"{self._role} thresholds"
            )
            folder = self._folder / f"{self._link}-{self._role}-thresholds"
            yield ThresholdsLoop(title, end.thresholds, inputs, folder, parts)

    @property
    def _bank(self) -> tuple[str, ...]:
        return (self._end.detectors,) if self._end.detectors else ()

    def delays(self, feeds: Mapping[str, TagFeed]) -> Iterator[NodeLoop]:
        """Yield the loop of this end's detectors' delays."""
        if self._end.delays is not None:
            inputs, feed = self._end.channels.inputs, feeds[self._end.tagger]
            title = self._title("delay", unit="ps", name=f"{self._role} delays")
            folder = self._folder / f"{self._link}-{self._role}-delays"
            yield DelaysLoop(title, self._end.delays, feed, inputs, folder)

    def of_alice(self, set_window: SetWindow) -> Iterator[NodeLoop]:
        """Yield the loops of what only she sees."""
        if self._role is not Role.ALICE:
            return
        section, station = self._section, self._station
        if section.window is not None:
            title, folder = (
                self._title("window", unit=OF_KEY),
                self._folder / f"{self._link}-window",
            )
            yield WindowLoop(title, section.window, lambda: station.section, set_window, folder)
        if section.pump is not None:
            title = self._title("source_power", section.pump.attenuator, OF_KEY)
            folder = self._folder / f"{self._link}-source-power"
            yield PumpLoop(title, section.pump, lambda: station.section, folder)
        if section.launch is not None and section.pulses is not None:
            title = self._title("attenuation", section.launch.attenuator, "of the mean")
            folder = self._folder / f"{self._link}-attenuation"

            def is_generating() -> bool:
                return station.report().phase is LinkPhase.GENERATING

            yield LaunchLoop(title, section.launch, section.pulses, is_generating, folder)

    def _title(self, kind: str, instrument: str = "", unit: str = "", name: str = "") -> Title:
        words = name or kind.replace("_", " ")
        return Title(f"{self._link} {words}", self._node, self._link, kind, instrument, unit)


def _all(runners: list[LoopRunner]) -> Callable[[Judged], None]:
    def tell(judged: Judged) -> None:
        for runner in runners:
            runner.judged(judged)

    return tell
