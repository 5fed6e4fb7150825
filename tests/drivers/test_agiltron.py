"""The 1xN switch's driver against an emulated unit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.agiltron import Agiltron, Frames, set_frame
from qnx_hw.errors import (
    ConfigError,
    InstrumentError,
    InstrumentTimeout,
    RangeError,
    Unsupported,
)
from sim_devices.emulators.agiltron import AgiltronEmulator
from sim_devices.emulators.faults import Fault, FaultKind, Faults

Serve = Callable[..., list[str]]


@given(st.lists(st.integers(1, 255)), st.integers(1, 7))
def test_frames_survive_any_chunking(channels: list[int], chunk: int) -> None:
    frames = [set_frame(channel) for channel in channels]
    stream = b"".join(frames)
    decoder = Frames()

    received = [
        frame
        for start in range(0, len(stream), chunk)
        for frame in decoder.feed(stream[start : start + chunk])
    ]

    assert received == frames


def test_the_manuals_command_is_built() -> None:
    assert set_frame(3) == bytes.fromhex("01 12 00 03")


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_the_output_is_switched_and_stays(serve: Serve, listen: str) -> None:
    (url,) = serve(AgiltronEmulator(), listen)

    with Agiltron(f"{url}?channels=8") as switch:
        assert switch.connections() == {1: 1}
        assert switch.apply({1: 8}) == {1: 8}

    with Agiltron(url) as switch:
        assert switch.connections() == {1: 8}


def test_nonsense_is_refused_before_the_wire(serve: Serve) -> None:
    (url,) = serve(AgiltronEmulator())

    with Agiltron(f"{url}?channels=4") as switch:
        sent = switch.status().counters["requests"]
        for connections in ({}, {1: 5}, {1: 0}, {2: 1}, {1: 1, 2: 2}):
            with pytest.raises(RangeError):
                switch.apply(connections)
        with pytest.raises(Unsupported):
            switch.configure({"colour": 5})
        assert switch.status().counters["requests"] == sent

    with pytest.raises(ConfigError):
        Agiltron(f"{url}?channels=none")


def test_a_channel_that_the_unit_lacks_times_out_and_the_next_works(serve: Serve) -> None:
    (url,) = serve(AgiltronEmulator(options={"channels": 4}))

    with Agiltron(f"{url}?channels=8") as switch:
        with pytest.raises(InstrumentTimeout):
            switch.apply({1: 6}, timeout_s=0.5)

        assert switch.apply({1: 2}) == {1: 2}


def test_garbage_costs_at_most_one_request(serve: Serve) -> None:
    faults = Faults()
    (url,) = serve(AgiltronEmulator(), faults=faults)

    with Agiltron(url) as switch:
        faults.add(Fault(FaultKind.GARBAGE, 0.0))
        with pytest.raises(InstrumentError):
            switch.connections()

        assert switch.apply({1: 5}) == {1: 5}
