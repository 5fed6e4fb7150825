"""The modules of a SIM900 that bias a detector: what to say to them, and what they answer.

Sources: SRS "SIM928 Operation and Service Manual", remote commands; the Quantum Opus module's
command letters as its users know them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from qnx_hw.errors import ProtocolError

# Read of OVSR? clears it (SIM928 manual).
_OVSR_BITS = ("overload", "overvoltage", "battery switchover", "battery fault")
FULL_COUNTS = 65_535


class Module(Protocol):
    """How to speak with one kind of module; volts in and out."""

    identify: str
    mark: str
    """What its answer to `identify` holds; empty where any answer will do."""
    low_v: float
    high_v: float
    resolution_v: float

    @abstractmethod
    def setting(self, voltage_v: float) -> str:
        """Return the command that sets a voltage."""

    @abstractmethod
    def question(self) -> str:
        """Return the command that asks for the voltage."""

    @abstractmethod
    def voltage_v(self, reply: str) -> float:
        """Read the answer to `question`."""


class Sim928(Module):
    """An isolated source, -20 to 20 V in steps of 1 mV."""

    identify = "*IDN?"
    mark = "SIM928"
    low_v, high_v, resolution_v = -20.0, 20.0, 1e-3

    def setting(self, voltage_v: float) -> str:
        """Return the command that sets a voltage, with three decimals."""
        return f"VOLT {voltage_v:.3f}"

    def question(self) -> str:
        """Return the command that asks for the voltage."""
        return "VOLT?"

    def voltage_v(self, reply: str) -> float:
        """Read a voltage."""
        try:
            return float(reply)
        except ValueError as error:
            raise ProtocolError(f"a SIM928 answered VOLT? by {reply!r}", reply.encode()) from error


class QuantumOpus(Module):
    """A bias source of 0 to 2.5 V behind 100 kohm: 0 to 65535 counts are 0 to 25 uA."""

    identify = "+A?"
    mark = ""
    low_v, high_v, resolution_v = 0.0, 2.5, 2.5 / FULL_COUNTS

    def setting(self, voltage_v: float) -> str:
        """Return the command that sets the converter."""
        return f"+B{round(voltage_v / self.resolution_v)};"

    def question(self) -> str:
        """Return the command that asks for the converter's counts."""
        return "+B?"

    def voltage_v(self, reply: str) -> float:
        """Read counts."""
        return counts(reply, "+B?") * self.resolution_v


# Full scale of the module's converter at high and at low gain, in volt.
ADC_HIGH_GAIN_V, ADC_LOW_GAIN_V = 1.1, 5.0


def counts(reply: str, question: str) -> int:
    """Read a Quantum Opus' answer to a question for a whole number."""
    if not reply.isdigit():
        raise ProtocolError(f"a Quantum Opus answered {question} by {reply!r}", reply.encode())
    return int(reply)


def overloads(reply: str) -> str:
    """Read OVSR? in words; empty where all is well."""
    if not reply.isdigit():
        raise ProtocolError(f"a SIM928 answered OVSR? by {reply!r}", reply.encode())
    bits = int(reply)
    return ", ".join(name for place, name in enumerate(_OVSR_BITS) if bits >> place & 1)
