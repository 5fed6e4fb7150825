"""SRS SIM900 mainframe with SIM928 voltage sources and Quantum Opus bias modules.

Source: SRS "SIM900 Operation and Service Manual" and "SIM928 Operation and Service Manual". The
mainframe passes lines to a module and keeps what it says until it is asked for. A channel is the
slot's number. A bias never jumps: every way from one voltage to another is a ramp.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping

from drivers import sim900_blocks as blocks
from drivers.held_link import HeldLink
from drivers.knobs import Setting
from drivers.operation import Operation, has_time
from drivers.sim900_modules import (
    ADC_HIGH_GAIN_V,
    ADC_LOW_GAIN_V,
    FULL_COUNTS,
    Module,
    QuantumOpus,
    Sim928,
    counts,
    overloads,
)
from qnx_hw.errors import (
    Cancelled,
    ConfigError,
    InstrumentError,
    InstrumentRefused,
    InstrumentTimeout,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import BiasSource
from qnx_hw.instruments.values import Identity, InstrumentState, InstrumentStatus
from qnx_hw.transports import Fence, LinkTraits, Matcher, Recorder, left_s, option, together

BAUD = 9600
REPLY_TIMEOUT_S = 2.0
# Each slot that holds neither kind says nothing for a second, twice.
CONNECT_TIMEOUT_S = 20.0
# A module answers over a serial line of its own; it is asked so often, and so long at most.
POLL_S = 0.01
MODULE_TIMEOUT_S = 1.0
# A poll that was begun in time may end.
LAST_POLL_S = 0.2
# The usual ramp goes 5 mV each 50 ms; a module's line of 9600 baud takes no more than that.
STEP_S = 0.05
CLOSING_SLOPE_V_PER_S = 10.0
SLOPE_LIMIT_V_PER_S = 100.0
N_SLOTS = 8
TRAITS = LinkTraits(quiet_s=0.1, fence=Fence(b"*IDN?\n", lambda line: b"SIM900" in line))


class Sim900(BiasSource):
    """A mainframe at `serial:///dev/ttyUSB0?baud=9600&slots=1,2`; without slots, all it finds."""

    def __init__(self, url: str, *, name: str = "sim900", recorder: Recorder | None = None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS, baud=BAUD)
        self._wanted = _slots(url)
        self._operation = Operation(name)
        self._modules: dict[int, Module] = {}
        self._stopped = threading.Event()
        self._is_ramping = False
        self._is_stale = False
        self._faults: dict[int, str] = {}
        self._marks: dict[int, str] = {}

    @property
    def channels(self) -> tuple[int, ...]:
        """The slots with a bias source in them, known once connected."""
        return tuple(self._modules)

    def connect(self, *, timeout_s: float = CONNECT_TIMEOUT_S) -> Identity:
        """Open the port and ask mainframe and modules who they are; nothing is switched."""
        with self._operation.within(timeout_s):
            self.close()
            opening = self._held.opening(
                blocks.BlockFramer(), timeout_s=timeout_s, greeting=b"\nFLSH\n"
            )
            with opening:
                words = self._query(b"*IDN?\n", lambda line: b"," in line, timeout_s).split(",")
                if words[1] != "SIM900":
                    raise ProtocolError(f"'{self.name}' is no SIM900 but {words[1]!r}")
                self._find_modules(timeout_s)
            return Identity("Stanford Research Systems", *words[1:4])

    def close(self) -> None:
        """Ramp all outputs down, switch them off, and let go of the mainframe."""
        self._stopped.set()
        with self._operation.within():
            try:
                for channel in self._modules:
                    self.enable(channel, False)
            except InstrumentError:
                return  # it is gone or deaf; its outputs stay as they are
            finally:
                self._modules = {}
                self._held.close()

    def status(self) -> InstrumentStatus:
        """Return how the mainframe is, without asking it; faults as found by the last ramp."""
        state = InstrumentState.BUSY if self._is_ramping else InstrumentState.READY
        faults = (f"slot {slot}: {fault}" for slot, fault in self._faults.items() if fault)
        return self._held.status(state, ", ".join(faults))

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `voltage_N_v` and, of SIM928s, `enabled_N`, where N is the slot."""
        held: dict[str, Setting] = {}
        self._held.link()
        with self._operation.within(timeout_s):
            for channel, module in self._modules.items():
                held[f"voltage_{channel}_v"] = self._voltage_v(channel, timeout_s)
                if isinstance(module, Sim928):
                    held[f"enabled_{channel}"] = self._is_on(channel, timeout_s)
        return held

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Refuse all settings: a bias is ramped and switched by its own methods, on purpose."""
        if settings:
            names = ", ".join(sorted(settings))
            raise Unsupported(f"'{self.name}' does not configure {names}; ramp and enable instead")
        return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """End a ramp where it stands; the ramp raises `Cancelled`."""
        self._held.link()
        self._stopped.set()

    def ramp_to_v(
        self,
        channel: int,
        voltage_v: float,
        *,
        slope_v_per_s: float = 1.0,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> float:
        """Ramp an output and return the voltage it holds; one that is ended stays where it is."""
        module = self._module(channel)
        if not module.low_v <= voltage_v <= module.high_v:
            raise RangeError(
                f"slot {channel} of '{self.name}' refused {voltage_v:g} V:"
                f" the range is {module.low_v:g} to {module.high_v:g} V"
            )
        if not 0.0 < slope_v_per_s <= SLOPE_LIMIT_V_PER_S:
            raise RangeError(
                f"'{self.name}' ramps at up to {SLOPE_LIMIT_V_PER_S:g} V/s, not {slope_v_per_s:g}"
            )
        with self._operation.within(timeout_s):
            self._stopped.clear()
            return self._ramp(channel, voltage_v, slope_v_per_s, cancel)

    def enable(self, channel: int, on: bool, *, timeout_s: float | None = None) -> bool:
        """Switch an output on, if it is at 0 V, or ramp it down and switch it off."""
        module = self._module(channel)
        with self._operation.within(timeout_s):
            if not isinstance(module, Sim928):
                if on:
                    raise Unsupported(f"slot {channel} of '{self.name}' is on always; ramp it")
                self._stopped.clear()
                return self._ramp(channel, 0.0, CLOSING_SLOPE_V_PER_S, None) > 0.0
            if self._is_on(channel, timeout_s) == on:
                return on
            if on:
                held_v = self._voltage_v(channel, timeout_s)
                if abs(held_v) > module.resolution_v:
                    raise InstrumentRefused(
                        f"slot {channel} of '{self.name}' would jump to {held_v:g} V:"
                        " ramp it to 0 V before it is switched on"
                    )
            else:
                self._stopped.clear()
                self._ramp(channel, 0.0, CLOSING_SLOPE_V_PER_S, None)
            self._tell(channel, f"EXON {int(on)}")
            held = self._is_on(channel, timeout_s)
            if held != on:
                raise InstrumentRefused(f"slot {channel} of '{self.name}' did not switch")
            return held

    def detector_voltage_v(
        self, channel: int, *, high_gain: bool = False, timeout_s: float | None = None
    ) -> float:
        """Return what a Quantum Opus' converter sees of its detector, in volt."""
        self._opus(channel)
        full_v = ADC_HIGH_GAIN_V if high_gain else ADC_LOW_GAIN_V
        with self._operation.within(timeout_s):
            self._tell(channel, f"+C{0 if high_gain else 1};")
            return counts(self._ask(channel, "+C?", timeout_s), "+C?") / FULL_COUNTS * full_v

    def set_self_reset(
        self, channel: int, on: bool, *, duration: int | None = None, timeout_s: float | None = None
    ) -> bool:
        """Let a Quantum Opus unlatch its detector by itself, or not; return what it holds.

        `duration` of a reset is 0 to 255 in the module's own units.
        """
        self._opus(channel)
        if duration is not None and not 0 <= duration <= 255:
            raise RangeError(f"a reset of slot {channel} takes 0 to 255, not {duration}")
        with self._operation.within(timeout_s):
            if duration is not None:
                self._tell(channel, f"+D{duration};")
            self._tell(channel, f"+E{int(on)};")
            return counts(self._ask(channel, "+E?", timeout_s), "+E?") == 1

    def unlatch(self, channel: int, *, timeout_s: float | None = None) -> None:
        """Have a Quantum Opus take the bias of its detector away for a moment, and give it back."""
        self._opus(channel)
        with self._operation.within(timeout_s):
            self._tell(channel, "+F;")

    def auto_bias_v(self, channel: int, *, timeout_s: float | None = None) -> float:
        """Have a Quantum Opus find its bias by itself and return the voltage it holds then."""
        self._opus(channel)
        with self._operation.within(timeout_s):
            self._tell(channel, "+G;")
            return self._voltage_v(channel, timeout_s)

    def _opus(self, channel: int) -> None:
        if not isinstance(self._module(channel), QuantumOpus):
            raise Unsupported(f"slot {channel} of '{self.name}' holds no Quantum Opus module")

    def _ramp(
        self, channel: int, target_v: float, slope_v_per_s: float, cancel: threading.Event | None
    ) -> float:
        module = self._module(channel)
        present_v = self._voltage_v(channel, None)
        step_v = slope_v_per_s * STEP_S
        self._is_ramping = True
        try:
            while abs(target_v - present_v) > module.resolution_v / 2:
                if self._stopped.is_set() or (cancel is not None and cancel.is_set()):
                    raise Cancelled(
                        f"the ramp of slot {channel} of '{self.name}' ended at {present_v:.3f} V"
                    )
                if not has_time(STEP_S):
                    raise InstrumentTimeout(
                        f"the time for the ramp of slot {channel} of '{self.name}' was over"
                        f" at {present_v:.3f} V"
                    )
                way_v = target_v - present_v
                present_v += math.copysign(min(abs(way_v), step_v), way_v)
                self._tell(channel, module.setting(present_v))
                self._stopped.wait(STEP_S)
        finally:
            self._is_ramping = False
        held_v = self._voltage_v(channel, None)
        if isinstance(module, Sim928):
            self._faults[channel] = overloads(self._ask(channel, "OVSR?"))
        if abs(held_v - target_v) > module.resolution_v:
            raise InstrumentRefused(
                f"slot {channel} of '{self.name}' holds {held_v:g} V, not {target_v:g} V"
            )
        return held_v

    def _find_modules(self, timeout_s: float) -> None:
        mask = self._query(b"CTCR?\n", lambda line: line.isdigit(), timeout_s)
        present = [slot for slot in range(1, N_SLOTS + 1) if int(mask) >> slot & 1]
        self._modules = {}
        self._faults = {}
        for slot in self._wanted or present:
            if slot not in present:
                raise ProtocolError(f"slot {slot} of '{self.name}' is empty")
            module = self._recognised(slot)
            if module is not None:
                self._modules[slot] = module
            elif self._wanted:
                raise ProtocolError(f"slot {slot} of '{self.name}' holds no bias source")

    def _recognised(self, slot: int) -> Module | None:
        """Ask a module by each kind's question; one that knows none is no bias source."""
        self._tell(slot, "TERM LF")
        # What was in the slot last comes first: to a wrong question a module says nothing for 1 s.
        kinds: list[Module] = [Sim928(), QuantumOpus()]
        kinds.sort(key=lambda kind: kind.mark != self._marks.get(slot))
        for module in kinds:
            try:
                answer = self._ask(slot, module.identify)
            except InstrumentTimeout:
                if not left_s(MODULE_TIMEOUT_S):
                    raise
                continue
            if module.mark in answer:
                self._marks[slot] = module.mark
                return module
        return None

    def _is_on(self, channel: int, timeout_s: float | None) -> bool:
        reply = self._ask(channel, "EXON?", timeout_s)
        if reply not in {"0", "1"}:
            raise ProtocolError(f"'{self.name}' answered EXON? by {reply!r}", reply.encode())
        return reply == "1"

    def _voltage_v(self, channel: int, timeout_s: float | None) -> float:
        module = self._module(channel)
        return module.voltage_v(self._ask(channel, module.question(), timeout_s))

    def _tell(self, slot: int, text: str) -> None:
        self._held.link().send(blocks.tell(slot, text))

    def _ask(self, slot: int, text: str, timeout_s: float | None = None) -> str:
        """Ask a module and collect its line, polling the mainframe for it."""
        with together((timeout_s or MODULE_TIMEOUT_S) + LAST_POLL_S):
            return self._collect(slot, text, timeout_s or MODULE_TIMEOUT_S)

    def _collect(self, slot: int, text: str, timeout_s: float) -> str:
        link = self._held.link()
        deadline_s = time.monotonic() + timeout_s
        if self._is_stale:
            link.send(b"FLSH\n")
        self._is_stale = True
        link.send(blocks.tell(slot, text))
        said = b""
        pause = threading.Event()
        while not said.endswith(b"\n"):
            if time.monotonic() >= deadline_s:
                raise InstrumentTimeout(f"slot {slot} of '{self.name}' did not answer {text}")
            pause.wait(POLL_S)
            block = link.query(blocks.take(slot), blocks.is_block, timeout_s=REPLY_TIMEOUT_S)
            said += blocks.content(block)
            if len(said) > blocks.LONGEST_LINE:
                raise ProtocolError(f"slot {slot} of '{self.name}' does not stop talking", said)
        self._is_stale = False
        return said.decode("latin-1").strip()

    def _query(self, command: bytes, matcher: Matcher, timeout_s: float) -> str:
        return self._held.link().query(command, matcher, timeout_s=timeout_s).decode("latin-1")

    def _module(self, channel: int) -> Module:
        self._held.link()
        module = self._modules.get(channel)
        if module is None:
            raise RangeError(
                f"'{self.name}' has bias sources in slots {list(self._modules)}, not in {channel}"
            )
        return module


def _slots(url: str) -> tuple[int, ...]:
    words = [word for word in option(url, "slots", "").split(",") if word]
    if not all(word.isdigit() and 1 <= int(word) <= N_SLOTS for word in words):
        raise ConfigError(f"'{url}': slots are numbers 1 to {N_SLOTS}, such as slots=1,2")
    return tuple(int(word) for word in words)
