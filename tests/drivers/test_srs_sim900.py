"""The mainframe's driver against emulated modules, and its codec."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import sim900_blocks as blocks
from drivers.sim900_modules import overloads
from drivers.srs_sim900 import Sim900
from qnx_hw.errors import (
    Cancelled,
    ConfigError,
    InstrumentRefused,
    InstrumentTimeout,
    ProtocolError,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.sim900 import Sim900Emulator

Serve = Callable[..., list[str]]
FAST = 100.0


@given(
    st.lists(st.binary(max_size=128).map(lambda data: b"#3%03d" % len(data) + data)),
    st.integers(1, 9),
)
def test_blocks_survive_any_chunking(sent: list[bytes], chunk: int) -> None:
    stream = b"36\r\n" + b"".join(block + b"\r\n" for block in sent)
    framer = blocks.BlockFramer()

    received = [
        message
        for start in range(0, len(stream), chunk)
        for message in framer.feed(stream[start : start + chunk])
    ]

    assert received == [b"36", *sent]
    assert framer.reset() == 0


def test_the_manuals_exchange_is_written_and_read() -> None:
    assert blocks.tell(1, "VOLT?") == b'SNDT 1,"VOLT?"\n'
    assert blocks.take(1) == b"GETN? 1,128\n"
    assert blocks.content(b"#3007+1.250\n") == b"+1.250\n"
    with pytest.raises(ProtocolError):
        blocks.content(b"+1.250")


def test_overload_bits_have_names() -> None:
    assert overloads("0") == ""
    assert overloads("5") == "overload, battery switchover"


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_outputs_are_ramped_and_read_back(serve: Serve, listen: str) -> None:
    (url,) = serve(Sim900Emulator(), listen)

    with Sim900(url) as source:
        assert source.connect().model == "SIM900"
        assert source.channels == (1, 2, 5)
        assert source.enable(1, True) is True
        assert source.ramp_to_v(1, 1.25, slope_v_per_s=10.0) == 1.25
        assert source.ramp_to_v(1, 1.0, slope_v_per_s=10.0) == 1.0
        assert source.ramp_to_v(5, 1.0, slope_v_per_s=10.0) == pytest.approx(1.0, abs=1e-4)
        held = source.settings()
        assert (held["enabled_1"], held["enabled_2"]) == (True, False)
        assert held["voltage_1_v"] == 1.0


def test_a_ramp_never_jumps(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())
    sent: list[bytes] = []

    with Sim900(f"{url}?slots=2", recorder=lambda way, payload: sent.append(payload)) as source:
        source.ramp_to_v(2, 1.0, slope_v_per_s=4.0)

        steps = [float(line.split(b" ")[2].rstrip(b'"\n')) for line in sent if b',"VOLT ' in line]
        assert steps == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_leaving_switches_off_at_zero(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())
    with Sim900(f"{url}?slots=1,5") as source:
        source.enable(1, True)
        source.ramp_to_v(1, 0.5, slope_v_per_s=FAST)
        source.ramp_to_v(5, 0.5, slope_v_per_s=FAST)

    with Sim900(f"{url}?slots=1,5") as source:
        assert source.settings() == {"voltage_1_v": 0.0, "enabled_1": False, "voltage_5_v": 0.0}


def test_an_output_is_not_switched_on_at_a_voltage(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())

    with Sim900(f"{url}?slots=1") as source:
        source.ramp_to_v(1, 1.0, slope_v_per_s=FAST)
        with pytest.raises(InstrumentRefused, match="jump"):
            source.enable(1, True)

        assert source.settings()["enabled_1"] is False


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())

    with Sim900(f"{url}?slots=1,5") as source:
        sent = source.status().counters["requests"]
        for channel, volt in ((1, 20.1), (1, float("nan")), (5, -0.1), (5, 2.6), (2, 1.0)):
            with pytest.raises(RangeError):
                source.ramp_to_v(channel, volt)
        with pytest.raises(RangeError):
            source.ramp_to_v(1, 1.0, slope_v_per_s=0.0)
        with pytest.raises(Unsupported):
            source.configure({"voltage_1_v": 3.0})
        with pytest.raises(Unsupported):
            source.enable(5, True)
        assert source.status().counters["requests"] == sent


def test_a_cancelled_ramp_stays_where_it_is(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())
    cancel = threading.Event()
    cancel.set()

    with Sim900(f"{url}?slots=1") as source:
        with pytest.raises(Cancelled):
            source.ramp_to_v(1, 10.0, cancel=cancel)

        assert source.settings()["voltage_1_v"] == 0.0


def test_a_ramp_ends_where_its_time_does(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())

    with Sim900(f"{url}?slots=1") as source:
        with pytest.raises(InstrumentTimeout):
            source.ramp_to_v(1, 20.0, timeout_s=0.3)

        assert 0.0 <= source.settings()["voltage_1_v"] < 20.0


@pytest.mark.parametrize("slots", ["0", "9", "one"])
def test_slots_that_cannot_be_are_refused(slots: str) -> None:
    with pytest.raises(ConfigError):
        Sim900(f"tcp://127.0.0.1:1?slots={slots}")


def test_an_empty_slot_is_told(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())

    with pytest.raises(ProtocolError, match="slot 3"):
        Sim900(f"{url}?slots=3").connect()


def test_a_latched_detector_is_seen_and_unlatched(serve: Serve) -> None:
    (url,) = serve(Sim900Emulator())

    with Sim900(url) as mainframe:
        (opus,) = [slot for slot in mainframe.channels if slot not in {1, 2}]
        mainframe.ramp_to_v(opus, 2.45, slope_v_per_s=FAST)
        latched_v = mainframe.detector_voltage_v(opus)
        mainframe.ramp_to_v(opus, 1.0, slope_v_per_s=FAST)
        mainframe.unlatch(opus)

        assert mainframe.detector_voltage_v(opus, high_gain=True) < 0.1 * latched_v
        assert mainframe.set_self_reset(opus, True, duration=20)
        assert not mainframe.set_self_reset(opus, False)
        assert mainframe.auto_bias_v(opus) == pytest.approx(2.0, abs=0.01)
        with pytest.raises(RangeError):
            mainframe.set_self_reset(opus, True, duration=256)
        with pytest.raises(Unsupported, match="no Quantum Opus"):
            mainframe.unlatch(1)
