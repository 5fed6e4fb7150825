"""The delay generator's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from answering import TcpDevice
from hypothesis import given
from hypothesis import strategies as st

from drivers.dg645 import LONGEST_DELAY_PS, Dg645, decode_delay, encode_delay
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.dg645 import Dg645Emulator

Serve = Callable[..., list[str]]


@given(st.integers(0, LONGEST_DELAY_PS))
def test_no_picosecond_is_lost_on_the_wire(delay_ps: int) -> None:
    _, reference, delay_s = encode_delay(2, delay_ps, "unit").removeprefix("DLAY ").split(",")

    assert decode_delay(f"{reference},+{delay_s}") == (0, delay_ps)


def test_the_manuals_reply_is_read() -> None:
    assert decode_delay("0,+0.000000012500") == (0, 12_500)


@pytest.mark.parametrize("reply", ["", "0", "0,soon", "0,nan", "0,inf", "x,1.0"])
def test_replies_that_are_none_are_refused(reply: str) -> None:
    with pytest.raises(ProtocolError):
        decode_delay(reply)


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_delays_are_set_and_read_back(serve: Serve, listen: str) -> None:
    (url,) = serve(Dg645Emulator(), listen)

    with Dg645(url) as generator:
        assert generator.connect().model == "DG645"
        assert generator.set_delay_ps("A", 12_500) == 12_500
        assert generator.set_delay_ps("H", 1_000_000_000_005) == 1_000_000_000_005
        assert generator.set_delay_ps("B", 12_498) == 12_500
        assert generator.delay_ps("A") == 12_500


def test_settings_are_read_back_and_leaving_ends_the_pulses(serve: Serve) -> None:
    (url,) = serve(Dg645Emulator())
    wanted = {
        "trigger_rate_hz": 2500.0,
        "amplitude_cd_v": 3.5,
        "burst_on": True,
        "trigger_source": "internal",
    }

    with Dg645(url) as generator:
        held = generator.configure(wanted)
        assert {key: held[key] for key in wanted} == wanted

    with Dg645(url) as generator:
        assert generator.settings()["trigger_source"] == "single_shot"


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Dg645Emulator())

    with Dg645(url) as generator:
        sent = generator.status().counters["requests"]
        for channel, delay_ps in (("T0", 5), ("I", 5), ("A", -5), ("A", LONGEST_DELAY_PS + 1)):
            with pytest.raises(RangeError):
                generator.set_delay_ps(channel, delay_ps)
        with pytest.raises(RangeError):
            generator.configure({"trigger_level_v": 1.0, "trigger_source": "moon"})
        with pytest.raises(Unsupported):
            generator.configure({"colour": 5})
        assert generator.status().counters["requests"] == sent


def test_the_units_own_error_reaches_the_caller() -> None:
    errors = [b"0\r\n", b"10\r\n"]

    def answer(received: bytes) -> bytes:
        if b"LERR?" in received:
            return errors.pop()
        return b"Stanford Research Systems,DG645,s/n1,ver1\r\n" if b"*IDN?" in received else b""

    with (
        TcpDevice(answer) as device,
        Dg645(f"tcp://127.0.0.1:{device.port}") as generator,
        pytest.raises(InstrumentRefused, match="10"),
    ):
        generator.set_delay_ps("A", 5)


def test_edges_refer_to_others(serve: Serve) -> None:
    (url,) = serve(Dg645Emulator())

    with Dg645(url) as generator:
        generator.set_delay_ps("A", 50_000)
        assert generator.set_delay_ps("B", 10_000, reference="A") == 10_000
        assert generator.link("C", "B") == "B"
        with pytest.raises(RangeError, match="refers to"):
            generator.link("C", "C")


def test_outputs_and_cycles_are_set_up(serve: Serve) -> None:
    (url,) = serve(Dg645Emulator())
    wanted = {
        "offset_ab_v": -0.5,
        "polarity_ab": "negative",
        "inhibit": 1,
        "prescale": 10,
        "trigger_source": "single_shot",
    }

    with Dg645(url) as generator:
        held = generator.configure(wanted)
        generator.trigger()

    assert {key: held[key] for key in wanted} == wanted
