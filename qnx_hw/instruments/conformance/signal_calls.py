"""The blocking calls of what makes voltages, delays and patterns of pulses."""

from __future__ import annotations

from qnx_hw.instruments.conformance.call import N_TURNS, Call, number_flaw
from qnx_hw.instruments.families import BiasSource, DelayGenerator, Transmitter

SLOPE_V_PER_S = 1.0


def bias_calls(source: BiasSource) -> tuple[Call, ...]:
    """Return the calls of a bias source."""
    calls = []
    for channel in source.channels[:2]:

        def ramp(turn: int, timeout_s: float, channel: int = channel) -> float:
            voltage_v = 0.02 * (1 + turn % N_TURNS)
            return source.ramp_to_v(
                channel, voltage_v, slope_v_per_s=SLOPE_V_PER_S, timeout_s=timeout_s
            )

        calls.append(
            Call(
                f"ramp_to_v({channel})",
                ramp,
                lambda turn, held: number_flaw(held, 0.02 * (1 + turn % N_TURNS), 0.005),
                True,
            )
        )

        def switch_off(turn: int, timeout_s: float, channel: int = channel) -> bool:
            return source.enable(channel, False, timeout_s=timeout_s)

        calls.append(
            Call(
                f"enable({channel})",
                switch_off,
                lambda turn, held: "" if held is False else "the output is on",
                True,
            )
        )
    return tuple(calls)


def delay_calls(generator: DelayGenerator) -> tuple[Call, ...]:
    """Return the calls of a delay generator."""

    def wanted_ps(turn: int) -> int:
        return 10_000 * (1 + turn % N_TURNS)

    return (
        Call(
            "set_delay_ps",
            lambda turn, s: generator.set_delay_ps("A", wanted_ps(turn), timeout_s=s),
            lambda turn, held: number_flaw(held, wanted_ps(turn), 100.0),
            True,
        ),
    )


def transmitter_calls(transmitter: Transmitter) -> tuple[Call, ...]:
    """Return the calls of a transmitter."""

    def load(turn: int, timeout_s: float) -> int:
        length = 4 * (1 + turn % N_TURNS)
        return transmitter.load_pattern([0] * length, [0] * length, timeout_s=timeout_s)

    return (
        Call(
            "load_pattern",
            load,
            lambda turn, held: number_flaw(held, 4 * (1 + turn % N_TURNS), 0.5),
            True,
        ),
        Call(
            "emit",
            lambda turn, s: transmitter.emit(False, timeout_s=s),
            lambda turn, held: "" if held is False else "pulses are still sent",
            True,
        ),
    )
