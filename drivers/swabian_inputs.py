"""What the inputs of a Swabian time tagger hold, and what they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from drivers.knobs import Setting, number_within
from drivers.swabian_package import Tagger
from qnx_hw.errors import InstrumentRefused, RangeError, Unsupported
from qnx_hw.instruments.values import Edge

THRESHOLD_RANGE_V = (-2.5, 2.5)
THRESHOLD_TOLERANCE_V = 0.02
LONGEST_DELAY_PS = 10**12
LONGEST_DEAD_TIME_PS = 10**9


class Inputs:
    """Settings by name; which edge counts is kept here, for the package has a channel for each."""

    def __init__(self, name: str, n_channels: int) -> None:
        self._name = name
        self._edges = dict.fromkeys(range(1, n_channels + 1), Edge.RISING)
        self._kept: dict[str, Setting] = {}

    def wires(self) -> list[int]:
        """Return the package's numbers of all inputs, each at its edge."""
        return [self._wire(channel) for channel in self._edges]

    def read(self, tagger: Tagger) -> dict[str, Setting]:
        """Return what the tagger holds."""
        held: dict[str, Setting] = {}
        for n, edge in self._edges.items():
            held[f"threshold_{n}_v"] = tagger.getTriggerLevel(n)
            held[f"edge_{n}"] = edge.value
            for key, getter, wire, usual in (
                (f"delay_{n}_ps", "getInputDelay", self._wire(n), 0),
                (f"dead_time_{n}_ps", "getDeadtime", self._wire(n), 0),
                (f"test_signal_{n}", "getTestSignal", n, False),
            ):
                # Older packages set these and do not show them.
                ask = getattr(tagger, getter, None)
                held[key] = self._kept.get(key, usual) if ask is None else ask(wire)
        return held

    def steps(self, settings: Mapping[str, Setting]) -> list[Callable[[Tagger], None]]:
        """Return what sets each; edges first, for delay and dead time belong to an edge."""
        order = sorted(settings, key=lambda key: not key.startswith("edge"))
        return [partial(self._apply, key=key, value=settings[key]) for key in order]

    def check(self, key: str, value: Setting, known: Mapping[str, Setting]) -> None:
        """Refuse what makes no sense."""
        if key not in known:
            raise Unsupported(f"'{self._name}' has no setting {key}")
        if key.startswith("threshold"):
            number_within(self._name, key, value, *THRESHOLD_RANGE_V)
        elif key.startswith("delay"):
            number_within(self._name, key, value, -LONGEST_DELAY_PS, LONGEST_DELAY_PS)
        elif key.startswith("dead_time"):
            number_within(self._name, key, value, 0, LONGEST_DEAD_TIME_PS)
        elif key.startswith("edge") and value not in set(Edge):
            raise RangeError(f"{key} is rising or falling, not {value!r}")
        elif key.startswith("test_signal") and not isinstance(value, bool):
            raise RangeError(f"{key} is true or false, not {value!r}")

    def _apply(self, tagger: Tagger, key: str, value: Setting) -> None:
        n = next(int(word) for word in key.split("_") if word.isdecimal())
        if key.startswith("edge"):
            self._edges[n] = Edge(str(value))
        elif key.startswith("threshold"):
            tagger.setTriggerLevel(n, float(value))
            held_v = tagger.getTriggerLevel(n)
            if abs(held_v - float(value)) > THRESHOLD_TOLERANCE_V:
                raise InstrumentRefused(f"'{self._name}' holds {key} = {held_v:g}, not {value}")
        elif key.startswith("delay"):
            self._kept[key] = round(float(value))
            tagger.setInputDelay(self._wire(n), round(float(value)))
        elif key.startswith("dead_time"):
            self._kept[key] = tagger.setDeadtime(self._wire(n), round(float(value)))
        else:
            self._kept[key] = bool(value)
            tagger.setTestSignal(n, bool(value))

    def _wire(self, channel: int) -> int:
        return channel if self._edges[channel] is Edge.RISING else -channel
