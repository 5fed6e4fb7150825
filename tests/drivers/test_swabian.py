"""The Swabian driver on a package that behaves as the maker's documentation says."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from fake_timetagger import (
    POWER_UP_PS,
    STEP_PS,
    Buffer,
    FakePackage,
    FakeStream,
    FakeTagger,
)
from hypothesis import given
from hypothesis import strategies as st

from drivers.swabian import Swabian
from drivers.swabian_blocks import Blocks, Event
from qnx_hw.errors import Busy, Cancelled, ConfigError, NotConnected, RangeError, Unsupported
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import UNKNOWN_LOSS
from qnx_hw.instruments.values import Edge, InstrumentState, Reference

PATIENCE_S = 120.0
BLOCK_S = 0.05
BLOCK_PS = 50_000_000_000


def tagger_on(package: FakePackage, url: str = "swabian://") -> Swabian:
    return Swabian(url, package=package)  # it knows its own tagger only


def test_a_tagger_is_found_by_its_serial_number_or_on_a_server() -> None:
    package = FakePackage()

    identity = tagger_on(package, "swabian://1740000ABC?channels=4").connect()
    tagger_on(package, "swabian://lab-pc:41101").connect()

    assert (identity.model, identity.serial) == ("Time Tagger 20", "1740000ABC")
    assert package.places == ["1740000ABC", "lab-pc:41101"]
    with pytest.raises(NotConnected, match="no Time Tagger"):
        tagger_on(package, "swabian://999").connect()
    with pytest.raises(ConfigError):
        tagger_on(package, "tcp://lab")


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("Swabian", "Swabian.TimeTagger", "TimeTagger"):
        monkeypatch.setitem(sys.modules, place, None)

    with pytest.raises(NotConnected, match="pip install swabian-timetagger"):
        Swabian("swabian://").connect()


def test_settings_are_what_the_tagger_holds() -> None:
    with tagger_on(FakePackage()) as tagger:
        held = tagger.configure(
            {"threshold_2_v": 0.123, "edge_2": "falling", "delay_2_ps": -500, "dead_time_2_ps": 10}
        )

    assert held["threshold_2_v"] == pytest.approx(0.12)
    assert (held["edge_2"], held["delay_2_ps"], held["dead_time_2_ps"]) == ("falling", -500, 6000)


class Narrow:
    """What stands in the maker's shorter lists of calls, of an object that has more."""

    CALLS = frozenset(
        [
            "getSerial",
            "getModel",
            "setTriggerLevel",
            "getTriggerLevel",
            "setInputDelay",
            "setDeadtime",
            "setTestSignal",
            "getOverflowsAndClear",
            "getData",
            "getTimestamps",
            "getChannels",
            "getEventTypes",
            "getMissedEvents",
            "hasOverflows",
        ]
    )

    def __init__(self, whole: object) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> object:
        if name not in self.CALLS:
            raise AttributeError(name)
        found = getattr(self.whole, name)
        return (lambda: Narrow(found())) if name == "getData" else found


class NarrowPackage(FakePackage):
    """A package whose objects have no more calls than those."""

    def createTimeTagger(self, serial: str = "") -> FakeTagger:
        return Narrow(super().createTimeTagger(serial))

    def freeTimeTagger(self, tagger: FakeTagger) -> None:
        super().freeTimeTagger(tagger.whole)

    def TimeTagStream(
        self, tagger: FakeTagger, n_max_events: int, channels: Sequence[int]
    ) -> FakeStream:
        stream = super().TimeTagStream(tagger.whole, n_max_events, channels)
        return Narrow(stream)


def test_a_package_with_fewer_calls_will_do() -> None:
    package = NarrowPackage(script=[(POWER_UP_PS + 3 * STEP_PS, Event.MISSED, 5)])
    with tagger_on(package, "swabian://?channels=2") as tagger:
        wanted = {"delay_1_ps": 700, "dead_time_2_ps": 10, "test_signal_1": True}

        held = tagger.configure(wanted)

        assert held["edge_2"] == "rising"
        assert {key: held[key] for key in wanted} == {**wanted, "dead_time_2_ps": 6000}
        assert tagger.settings() == held
        with tagger.start_stream(block_s=BLOCK_S) as stream:
            blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(4)]
    assert all(a.end_ps == b.start_ps for a, b in pairwise(blocks))
    assert blocks[0].start_ps == blocks[0].times_ps[0]
    assert sum(block.lost for block in blocks) == 5
    assert all(400 < len(block) < 1600 for block in blocks)  # 1000 each


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"threshold_1_v": 9.0}, RangeError),
        ({"edge_1": "sideways"}, RangeError),
        ({"test_signal_1": 3}, RangeError),
        ({"threshold_9_v": 0.1}, Unsupported),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    setting: dict[str, float | str], error: type[Exception]
) -> None:
    with tagger_on(FakePackage()) as tagger:
        before = tagger.settings()
        with pytest.raises(error):
            tagger.configure({"delay_1_ps": 100, **setting})

        assert tagger.settings() == before


def test_blocks_join_from_the_first_moment_and_hold_the_rate() -> None:
    with tagger_on(FakePackage()) as tagger:
        tagger.set_threshold_v(3, 0.1, Edge.FALLING)
        with tagger.start_stream(block_s=BLOCK_S) as stream:
            assert tagger.status().state is InstrumentState.STREAMING
            with pytest.raises(Busy):
                tagger.count_rates(1.0)
            blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(6)]

    assert blocks[0].start_ps == POWER_UP_PS
    assert all(a.end_ps == b.start_ps for a, b in pairwise(blocks))
    assert all(block.is_complete and np.all(np.diff(block.times_ps) >= 0) for block in blocks)
    counts = np.bincount(np.concatenate([block.channels for block in blocks]), minlength=9)[1:]
    assert counts == pytest.approx([10_000 * 6 * BLOCK_S] * 8, rel=0.1)


def test_silence_gives_blocks_without_tags() -> None:
    with (
        tagger_on(FakePackage(rate_cps=0.0)) as tagger,
        tagger.start_stream(block_s=BLOCK_S) as stream,
    ):
        blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(3)]

    assert [len(block) for block in blocks] == [0, 0, 0]


def test_missed_tags_are_counted_and_unknown_ones_said() -> None:
    script = [
        (POWER_UP_PS + 10, Event.OVERFLOW_BEGIN, 0),
        (POWER_UP_PS + 20, Event.MISSED, 40),
        (POWER_UP_PS + 30, Event.MISSED, 2),
        (POWER_UP_PS + 40, Event.OVERFLOW_END, 0),
        (POWER_UP_PS + BLOCK_PS + 5, Event.OVERFLOW_BEGIN, 0),
        (POWER_UP_PS + 3 * BLOCK_PS + 5, Event.OVERFLOW_END, 0),
        (POWER_UP_PS + 5 * BLOCK_PS + 5, Event.ERROR, 0),
    ]
    with (
        tagger_on(FakePackage(script=script)) as tagger,
        tagger.start_stream(block_s=BLOCK_S) as stream,
    ):
        blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(7)]
        counted = tagger.status().counters["lost_tags"]

    unknown = UNKNOWN_LOSS
    assert [block.lost for block in blocks] == [42, unknown, unknown, unknown, 0, unknown, 0]
    assert [block.overflow for block in blocks] == [True, True, True, True, False, False, False]
    assert counted == 42


def test_overflows_that_only_the_tagger_counts_are_not_lost_silently() -> None:
    package = FakePackage()
    with tagger_on(package) as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        stream.read(timeout_s=PATIENCE_S)
        package.taggers[0].overflows = 3
        blocks = [stream.read(timeout_s=PATIENCE_S)]
        while blocks[-1].is_complete and len(blocks) < 1000:
            blocks.append(stream.read(timeout_s=PATIENCE_S))

    assert (blocks[-1].lost, blocks[-1].overflow) == (UNKNOWN_LOSS, True)


def test_an_unplugged_tagger_is_lost() -> None:
    package = FakePackage()
    with tagger_on(package) as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        package.taggers[0].is_lost = True

        with pytest.raises(NotConnected, match="removed"):
            _read_on(stream)
        stream.close()
        with pytest.raises(NotConnected):
            tagger.settings()
        assert tagger.status().state is InstrumentState.DISCONNECTED

        package.taggers.clear()
        tagger.connect()
        assert tagger.settings()["threshold_1_v"] == 0.5


def test_a_count_can_be_cancelled_and_a_closed_tagger_is_free() -> None:
    package, cancel = FakePackage(), threading.Event()
    with tagger_on(package) as tagger:
        assert tagger.count_rates(0.001) == (10_000.0,) * 8
        assert tagger.set_reference(Reference.INTERNAL) is Reference.INTERNAL
        cancel.set()
        with pytest.raises(Cancelled):
            tagger.count_rates(60.0, cancel=cancel)

    assert package.taggers[0].is_free
    with pytest.raises(NotConnected):
        tagger.count_rates(1.0)


@given(
    st.lists(st.integers(0, 10 * STEP_PS - 1), max_size=60).map(sorted),
    st.lists(st.integers(1, 10 * STEP_PS), max_size=8).map(sorted),
)
def test_tags_survive_any_division_into_buffers(tags: list[int], looks: list[int]) -> None:
    blocks, start, received = Blocks(STEP_PS), 0, []

    for horizon in [*looks, 11 * STEP_PS]:
        here = np.array([tag for tag in tags if start <= tag < horizon], np.int64)
        nothing = np.zeros(len(here))
        labels = np.full(len(here), -3, np.int32)
        buffer = Buffer(
            0, horizon, here, labels, nothing.astype(np.uint8), nothing.astype(np.uint16)
        )
        blocks.add(buffer)
        start = horizon
        while (block := blocks.next_block()) is not None:
            received.append(block)

    assert np.concatenate([block.times_ps for block in received]).tolist() == tags
    assert {channel for block in received for channel in block.channels.tolist()} <= {3}
    assert all(block.lost == 0 for block in received)


def _read_on(stream: TagStream) -> None:
    for _ in range(1000):
        stream.read(timeout_s=PATIENCE_S)
