"""Numbers and choices that an instrument holds, each behind a command of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.operation import all_or_none
from drivers.text_line import TextLine, number
from qnx_hw.errors import ProtocolError, RangeError, Unsupported

Setting = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: the header of its command and what it takes, in the setting's unit."""

    header: str
    low: float = 0.0
    high: float = 1.0
    unit: float = 1.0
    """The instrument's units in one of ours: 1e-9 for nm where it wants metre."""
    kind: type[float] | type[int] | type[bool] = float
    choices: tuple[str, ...] = ()
    """Names of 0, 1, ... where the number stands for something."""
    index: str = ""
    """Which output the header is for, where it has several."""

    def encode(self, key: str, value: Setting) -> str:
        """Return the argument for a value, or raise `RangeError`."""
        if self.choices:
            if value not in self.choices:
                raise RangeError(f"{key} is one of {', '.join(self.choices)}, not {value!r}")
            return str(self.choices.index(str(value)))
        try:
            wanted = float(value)
        except ValueError as error:
            raise RangeError(f"{key} must be a number, not {value!r}") from error
        if not self.low <= wanted <= self.high:
            raise RangeError(f"{key} is {self.low:g} to {self.high:g}, not {value!r}")
        if self.kind is float:
            return f"{wanted * self.unit:.12g}"
        if not wanted.is_integer():
            raise RangeError(f"{key} is a whole number, not {value!r}")
        return str(int(wanted))

    def decode(self, reply: str) -> Setting:
        """Return the value that the instrument reports."""
        held = number(reply)
        if self.kind is float and not self.choices:
            return held / self.unit
        if not held.is_integer() or (self.choices and not 0 <= held < len(self.choices)):
            raise ProtocolError(f"{self.header} is reported as {reply!r}", reply.encode())
        return self.choices[int(held)] if self.choices else self.kind(int(held))

    def setter(self, argument: str, mark: str = " ") -> str:
        """Return the command that sets the argument."""
        return f"{self.header}{mark}{self.index + ',' if self.index else ''}{argument}"

    def query(self) -> str:
        """Return the question for the value."""
        return f"{self.header}?{self.index}"


def number_within(name: str, key: str, value: Setting, low: float, high: float) -> float:
    """Return a setting's value as a number, or raise `RangeError`."""
    try:
        wanted = float(value)
    except ValueError as error:
        raise RangeError(f"{key} must be a number, not {value!r}") from error
    if not low <= wanted <= high:
        raise RangeError(f"'{name}': {key} is {low:g} to {high:g}, not {wanted:g}")
    return wanted


def read(knobs: Mapping[str, Knob], ask: Callable[[str], str]) -> dict[str, Setting]:
    """Return what the instrument holds."""
    return {key: knob.decode(ask(knob.query())) for key, knob in knobs.items()}


def apply(
    name: str,
    knobs: Mapping[str, Knob],
    settings: Mapping[str, Setting],
    ask: Callable[[str], str],
    tell: Callable[[str], None],
) -> dict[str, Setting]:
    """Set all, in the order of `knobs`, or set back what was held; return what is held.

    `tell` raises what the instrument complains of.
    """
    for key in settings:
        if key not in knobs:
            raise Unsupported(f"'{name}' has no setting {key}")
    wanted = {k: knob.encode(k, settings[k]) for k, knob in knobs.items() if k in settings}
    held = {key: ask(knob.query()) for key, knob in knobs.items()}
    for key, argument in held.items():
        knobs[key].decode(argument)  # what makes no sense must not be set back

    def set_all(arguments: Mapping[str, str]) -> None:
        for key, argument in arguments.items():
            tell(knobs[key].setter(argument))

    with all_or_none(lambda: set_all(held)):
        set_all(wanted)
    return read(knobs, ask)


class Panel:
    """The knobs of one instrument on a line; `tell` raises what the instrument complains of."""

    def __init__(
        self, line: TextLine, knobs: Mapping[str, Knob], tell: Callable[[str, float | None], None]
    ) -> None:
        self.knobs = dict(knobs)
        self._line = line
        self._tell = tell

    def settings(self, timeout_s: float | None) -> Mapping[str, Setting]:
        """Return what the instrument holds."""
        with self._line.operation.within(timeout_s):
            return read(self.knobs, lambda command: self._line.ask(command, timeout_s))

    def configure(
        self, settings: Mapping[str, Setting], timeout_s: float | None
    ) -> Mapping[str, Setting]:
        """Set all, in the order of the knobs, or none; return what is held."""
        with self._line.operation.within(timeout_s):
            return apply(
                self._line.name,
                self.knobs,
                settings,
                self._line.ask,
                lambda command: self._tell(command, None),
            )
