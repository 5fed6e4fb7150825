"""Polatis (HUBER+SUHNER) optical matrix switches.

Source: Polatis, "SCPI User Guide". On the wire ingress ports are 1..n and egress ports n+1..n+m;
here outputs count from 1, too. Settings are silent: `*opc?` answers once the light paths stand,
then the error queue is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from drivers.knobs import Setting
from drivers.text_line import (
    IDENTITY_FENCE,
    SerialLine,
    TextLine,
    raise_refusal,
    scpi_errors,
)
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import OpticalSwitch
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Recorder

SERIAL_BAUD = 38_400  # 9600 on older units, by ?baud=9600
BOOT_MODES = {"AUT": "auto", "RES": "restore", "DAR": "dark"}
BOOT_WORDS = {"auto": "AUT", "restore": "REST", "dark": "DARK"}
_PORTS = r"\s*\d{1,4}(?:\s*:\s*\d{1,4})?\s*"
_LIST = rf"\(@({_PORTS}(?:,{_PORTS})*|\s*)\)"
_ENDS = re.compile(r"(\d+)(?:\s*:\s*(\d+))?")
_STATE = re.compile(rf"{_LIST}\s*,\s*{_LIST}")


class PortState(StrEnum):
    """How a port is."""

    ENABLED = "E"
    DISABLED = "D"
    FAILED = "F"


class Polatis(OpticalSwitch):
    """A switch at `tcp://host:5025` or `serial:///dev/ttyUSB0`; paths stand without us."""

    def __init__(
        self, url: str, *, name: str = "polatis", recorder: Recorder | None = None
    ) -> None:
        self.name = name
        self._line = TextLine(
            url, name, recorder=recorder, serial=SerialLine(SERIAL_BAUD), fence=IDENTITY_FENCE
        )
        self._n_inputs = self._n_outputs = 0

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Ask who is there and how many ports it has; no path changes."""
        with self._line.opening(timeout_s=timeout_s):
            identity = self._line.identity(timeout_s)
            self._n_inputs, self._n_outputs = decode_size(self._line.ask(":oxc:swit:size?"))
        return identity

    def close(self) -> None:
        """Let go of the wire; the paths stand as they are, which harms nothing."""
        self._line.close()

    def status(self) -> InstrumentStatus:
        """Return how the switch is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `boot_mode`: what is connected at power-up (`auto`, `restore` or `dark`)."""
        reply = self._line.ask(":oxc:boot:mode?", timeout_s)
        mode = BOOT_MODES.get(reply.upper()[:3])
        if mode is None:
            raise ProtocolError(f"'{self.name}' reports the boot mode {reply!r}", reply.encode())
        return {"boot_mode": mode}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Set `boot_mode`."""
        for key in settings:
            if key != "boot_mode":
                raise Unsupported(f"'{self.name}' has no setting {key}")
        mode = settings.get("boot_mode")
        if mode is not None:
            if mode not in BOOT_WORDS:
                raise RangeError(f"boot_mode of '{self.name}' is one of {', '.join(BOOT_WORDS)}")
            with self._line.operation.within(timeout_s):
                self._command(f":oxc:boot:mode {BOOT_WORDS[str(mode)]}", timeout_s)
                return self.settings(timeout_s=timeout_s)
        return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: a path settles within 25 ms and cannot be halted on its way."""

    def connections(self, *, timeout_s: float | None = None) -> Mapping[int, int]:
        """Return input to output, both counted from 1."""
        wire = decode_connections(self._line.ask(":oxc:swit:conn:stat?", timeout_s))
        return {port: egress - self._n_inputs for port, egress in wire.items()}

    def apply(
        self, connections: Mapping[int, int], *, timeout_s: float | None = None
    ) -> Mapping[int, int]:
        """Make exactly these connections; paths that stay are not interrupted."""
        self._line.link()
        self._check(connections)
        with self._line.operation.within(timeout_s):
            held = self.connections(timeout_s=timeout_s)
            stale = {a: b for a, b in held.items() if connections.get(a) != b}
            fresh = {a: b for a, b in connections.items() if held.get(a) != b}
            commands = [
                f":oxc:swit:conn:{action} {encode_connections(pairs, self._n_inputs)}"
                for action, pairs in (("sub", stale), ("add", fresh))
                if pairs
            ]
            if commands:
                self._command(";".join(commands), timeout_s)
            stands = self.connections(timeout_s=timeout_s)
        if stands != dict(connections):
            raise InstrumentRefused(
                f"'{self.name}' connected {dict(stands)}, not {dict(connections)}"
            )
        return stands

    def port_states(self, *, timeout_s: float | None = None) -> Mapping[int, PortState]:
        """Return how each port is, numbered as on the unit: ingress first, then egress."""
        ports = range(1, self._n_inputs + self._n_outputs + 1)
        reply = self._line.ask(f":oxc:swit:port:stat? (@1:{len(ports)})", timeout_s)
        return decode_states(reply, ports)

    def enable_ports(
        self, ports: Sequence[int], on: bool, *, timeout_s: float | None = None
    ) -> Mapping[int, PortState]:
        """Enable or disable ports, numbered as on the unit, and return how all are.

        Disabling a port ends the path through it.
        """
        for port in ports:
            if not 1 <= port <= self._n_inputs + self._n_outputs:
                raise RangeError(
                    f"'{self.name}' has no port {port}:"
                    f" it has 1 to {self._n_inputs + self._n_outputs}"
                )
        with self._line.operation.within(timeout_s):
            if ports:
                listed = ",".join(map(str, ports))
                action = "enab" if on else "dis"
                self._command(f":oxc:swit:port:{action} (@{listed})", timeout_s)
            return self.port_states(timeout_s=timeout_s)

    def _command(self, commands: str, timeout_s: float | None) -> None:
        """Send silent commands, wait until all is done, and raise what the unit complains of."""
        with self._line.operation.within(timeout_s):
            self._line.ask(f"*cls;{commands};*opc?", timeout_s)
            errors = scpi_errors(self._line.ask(":syst:err:all?", timeout_s))
            raise_refusal(self.name, commands, errors)

    def _check(self, connections: Mapping[int, int]) -> None:
        for port, output in connections.items():
            if not (1 <= port <= self._n_inputs and 1 <= output <= self._n_outputs):
                raise RangeError(
                    f"'{self.name}' cannot connect input {port} to output {output}: it has inputs "
                    f"1 to {self._n_inputs} and outputs 1 to {self._n_outputs}"
                )
        if len(set(connections.values())) != len(connections):
            raise RangeError(f"'{self.name}' cannot connect two inputs to one output")


def encode_connections(connections: Mapping[int, int], n_inputs: int) -> str:
    """Return both port lists, ingress first, as the unit numbers them."""
    ingress = ",".join(str(port) for port in connections)
    egress = ",".join(str(n_inputs + output) for output in connections.values())
    return f"(@{ingress}),(@{egress})"


def decode_connections(reply: str) -> dict[int, int]:
    """Return ingress to egress, as the unit numbers them."""
    match = _STATE.fullmatch(reply)
    lists = [_ports(text) for text in match.groups()] if match else []
    if len(lists) != 2 or len(lists[0]) != len(lists[1]):
        raise ProtocolError(f"{reply!r} is no list of connections", reply.encode())
    return dict(zip(*lists, strict=True))


def decode_states(reply: str, ports: Sequence[int]) -> dict[int, PortState]:
    """Return the state of each port asked for, in a list such as `(D,E,F)`."""
    words = [word.strip() for word in reply.strip().removeprefix("(").removesuffix(")").split(",")]
    try:
        return {port: PortState(word.upper()) for port, word in zip(ports, words, strict=True)}
    except ValueError as error:
        raise ProtocolError(f"{reply!r} is no list of port states", reply.encode()) from error


def decode_size(reply: str) -> tuple[int, int]:
    """Return how many ingress and egress ports there are."""
    words = [word.strip() for word in reply.split(",")]
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise ProtocolError(f"{reply!r} is no size of a switch", reply.encode())
    return int(words[0]), int(words[1])


def _ports(text: str) -> list[int]:
    """Return the ports of a list such as `1, 3:5`."""
    ends = _ENDS.findall(text)
    return [port for first, last in ends for port in range(int(first), int(last or first) + 1)]
