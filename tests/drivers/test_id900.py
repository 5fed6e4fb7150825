"""The time controller's driver against an emulated controller and its data link service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.id900 import Id900
from drivers.id900_replies import is_echo
from qnx_hw.errors import Busy, Cancelled, InstrumentRefused, NotConnected, RangeError, Unsupported
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import UNKNOWN_LOSS
from qnx_hw.instruments.values import Edge, InstrumentState, Reference
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.id900 import Id900Emulator
from sim_devices.emulators.server import serving
from sim_devices.emulators.station import RandomStation, Station

RATE_CPS = 20_000.0
PATIENCE_S = 120.0
BLOCK_S = 0.2


class Twins(RandomStation):
    """Clicks of input 1 at random, and of input 2 half a nanosecond later."""

    def take_tags(self, until_s: float) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        times_ps, channels = super().take_tags(until_s)
        first = times_ps[channels == 1]
        twins = np.concatenate([first, first + 500])
        order = np.argsort(twins)
        return twins[order], np.repeat(np.array([1, 2], np.uint8), len(first))[order]


@contextmanager
def controller(station: Station | None = None, **options: object) -> Iterator[Id900]:
    emulator = Id900Emulator(station, {"rate_cps": RATE_CPS, **options})
    with serving(emulator, *Id900Emulator.default_listen) as (scpi, link):
        tagger = Id900(f"zmq://{scpi.address}?dlt={link.address}")
        tagger.connect(timeout_s=PATIENCE_S)
        try:
            yield tagger
        finally:
            tagger.close()


def test_the_controller_is_identified_and_its_slots_are_read() -> None:
    with controller() as tagger:
        identity = tagger.connect(timeout_s=PATIENCE_S)

        assert (identity.maker, identity.model) == ("ID Quantique", "ID900")
        assert tagger.capabilities.resolution_ps == 13


def test_settings_are_what_the_controller_holds() -> None:
    with controller() as tagger:
        held = tagger.configure(
            {
                "threshold_2_v": 1.0,
                "edge_2": "falling",
                "enabled_3": False,
                "delay_1_ps": 1500,
                "reference": "external",
            }
        )

    assert held["threshold_2_v"] == pytest.approx(0.999424)
    assert (held["edge_2"], held["enabled_3"], held["enabled_1"]) == ("falling", False, True)
    assert (held["delay_1_ps"], held["reference"]) == (1500, "external")


def test_a_refused_setting_sets_the_others_back() -> None:
    with controller() as tagger:
        before = tagger.settings()
        with pytest.raises(RangeError):
            tagger.configure({"enabled_1": False, "threshold_1_v": 9.0})
        with pytest.raises(Unsupported):
            tagger.configure({"enabled_1": False, "colour_1": "red"})

        assert tagger.settings() == before


def test_level_edge_and_clock_are_set_by_their_methods() -> None:
    with controller() as tagger:
        assert tagger.set_threshold_v(4, 0.5, Edge.FALLING) == pytest.approx(0.499712)
        assert tagger.set_reference(Reference.EXTERNAL) is Reference.EXTERNAL
        with pytest.raises(Unsupported):
            tagger.set_reference(Reference.AUTO)
        with pytest.raises(RangeError):
            tagger.set_threshold_v(5, 0.5, Edge.RISING)

        assert tagger.settings()["edge_4"] == "falling"


@pytest.mark.slow
def test_rates_are_counted_by_the_controller() -> None:
    with controller() as tagger:
        rates = tagger.count_rates(0.5)

    assert rates == pytest.approx([RATE_CPS] * 4, rel=0.15)


def test_a_cancelled_count_ends() -> None:
    cancel = threading.Event()
    cancel.set()
    with controller() as tagger, pytest.raises(Cancelled):
        tagger.count_rates(60.0, cancel=cancel)


@pytest.mark.slow
def test_coincidences_are_counted_of_inputs_that_click_together() -> None:
    with controller(Twins([RATE_CPS] * 4, seed=1)) as tagger:
        together, apart = tagger.coincidence_rates([(1, 2), (2, 3)], 0.5)
        with pytest.raises(RangeError, match="1 to 4"):
            tagger.coincidence_rates([(1, 1)], 0.5)

    assert together == pytest.approx(RATE_CPS, rel=0.1)
    assert apart == 0.0


@pytest.mark.slow
def test_a_window_lies_where_it_is_set() -> None:
    with controller(Twins([RATE_CPS] * 4, seed=1)) as tagger:
        (around,) = tagger.coincidence_rates([(1, 2)], 0.2, window_ps=(400, 600))
        (beyond,) = tagger.coincidence_rates([(1, 2)], 0.2, window_ps=(600, 1000))
        with pytest.raises(RangeError, match="closes it later"):
            tagger.coincidence_rates([(1, 2)], 0.2, window_ps=(600, 600))

    assert around == pytest.approx(RATE_CPS, rel=0.15)
    # Other twins fall into so short a window once in 100 s.
    assert beyond < RATE_CPS / 100


def test_the_slots_are_as_fine_as_the_resolution_says() -> None:
    with controller() as tagger:
        tagger.configure({"resolution": "lowres"})

        assert tagger.capabilities.resolution_ps == 100
        with pytest.raises(RangeError, match="bin_ps"):
            tagger.histogram((1, 2), 0.1, bin_ps=50)


@pytest.mark.slow
def test_an_acquisition_is_saved_by_the_service() -> None:
    with controller() as tagger:
        tagger.configure({"enabled_3": False, "enabled_4": False})
        saved = tagger.save("a run.bin", 0.5, file_format="bin", timeout_s=PATIENCE_S)
        with tagger.start_stream(block_s=BLOCK_S) as stream:
            assert len(stream.read(timeout_s=PATIENCE_S)) > 0

    assert [(each.channel, each.filename) for each in saved] == [
        (1, "a run-1.bin"),
        (2, "a run-2.bin"),
    ]
    assert [each.time_stamps for each in saved] == pytest.approx([RATE_CPS / 2] * 2, rel=0.15)
    assert not any(each.has_losses for each in saved)


def test_a_saving_can_be_given_up() -> None:
    cancel = threading.Event()
    cancel.set()
    with controller() as tagger:
        with pytest.raises(Cancelled):
            tagger.save("run.bin", 60.0, cancel=cancel)
        with pytest.raises(RangeError):
            tagger.save("run.bin", 0.0)

        assert tagger.settings()["enabled_1"] is True


def test_a_histogram_shows_the_exponential_law_of_random_clicks() -> None:
    bin_ps = 1_000_000
    with controller() as tagger:
        histogram = tagger.histogram((1, 2), 1.0, bin_ps=bin_ps, n_bins=400)
        with pytest.raises(RangeError):
            tagger.histogram((1, 2), 1.0, bin_ps=0)

    times_s = (np.arange(400) + 0.5) * histogram.bin_ps * 1e-12
    counts = np.array(histogram.counts)
    assert counts.sum() > 1000
    # The mean of the law, cut off after 8 times itself; six standard errors either way.
    mean_s = float((counts * times_s).sum() / counts.sum())
    assert mean_s == pytest.approx(1 / RATE_CPS, rel=6 / np.sqrt(counts.sum()) + 0.005)


def test_blocks_join_and_hold_the_rate_of_every_input() -> None:
    with controller() as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        assert tagger.status().state is InstrumentState.STREAMING
        with pytest.raises(Busy):
            tagger.set_reference(Reference.INTERNAL)
        blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(4)]

    assert [block.start_ps for block in blocks] == [n * 200_000_000_000 for n in range(4)]
    for block, following in pairwise(blocks):
        assert block.end_ps == following.start_ps
    for block in blocks:
        assert block.is_complete
        assert np.all(np.diff(block.times_ps) >= 0)
        assert np.all((block.times_ps >= block.start_ps) & (block.times_ps < block.end_ps))
        counts = np.bincount(block.channels, minlength=5)[1:]
        assert counts == pytest.approx([RATE_CPS * BLOCK_S] * 4, rel=0.3)


@pytest.mark.slow
def test_only_enabled_inputs_are_recorded() -> None:
    with controller() as tagger:
        tagger.configure({"enabled_1": False, "enabled_4": False})
        with tagger.start_stream(block_s=BLOCK_S) as stream:
            block = stream.read(timeout_s=PATIENCE_S)
        tagger.configure({"enabled_2": False, "enabled_3": False})
        with pytest.raises(InstrumentRefused, match="no enabled input"):
            tagger.start_stream()

    assert set(block.channels.tolist()) == {2, 3}


@pytest.mark.slow
def test_silent_inputs_give_blocks_without_tags() -> None:
    with controller(rate_cps=0.0) as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        blocks = [stream.read(timeout_s=PATIENCE_S) for _ in range(2)]

    assert [len(block) for block in blocks] == [0, 0]
    assert all(block.is_complete for block in blocks)


@pytest.mark.slow
def test_a_delay_shifts_the_tags_of_its_input() -> None:
    delay_ps = 150_000_000_000
    with controller() as tagger:
        tagger.configure({"delay_2_ps": delay_ps})
        with tagger.start_stream(block_s=BLOCK_S) as stream:
            block = stream.read(timeout_s=PATIENCE_S)

    assert block.times_ps[block.channels == 2].min() >= delay_ps
    assert block.times_ps[block.channels == 1].min() < delay_ps


@pytest.mark.slow
def test_an_overflow_is_never_silent_and_passes() -> None:
    faults = Faults([Fault(FaultKind.OVERFLOW, 0.0)])
    with controller(faults=faults) as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        blocks = [stream.read(timeout_s=PATIENCE_S)]
        while blocks[-1].overflow and len(blocks) < 20:
            blocks.append(stream.read(timeout_s=PATIENCE_S))

    doubtful = [block for block in blocks if block.overflow]
    assert doubtful
    assert all(block.lost == UNKNOWN_LOSS for block in doubtful)
    assert blocks[-1].is_complete
    assert len(blocks[-1]) > 0


@pytest.mark.slow
def test_a_stop_ends_the_stream_for_its_reader() -> None:
    with controller() as tagger, tagger.start_stream(block_s=BLOCK_S) as stream:
        stream.read(timeout_s=PATIENCE_S)
        tagger.stop()
        with pytest.raises(NotConnected):
            _read_on(stream)
        stream.close()

        with tagger.start_stream(block_s=BLOCK_S) as again:
            assert again.read(timeout_s=PATIENCE_S).start_ps == 0


@pytest.mark.slow
def test_without_the_service_a_stream_says_what_is_missing() -> None:
    emulator = Id900Emulator(options={"rate_cps": RATE_CPS})
    with (
        serving(emulator, *Id900Emulator.default_listen) as (scpi, _),
        Id900(f"zmq://{scpi.address}?dlt=127.0.0.1:1") as tagger,
    ):
        with pytest.raises(NotConnected, match=r"zmq://127\.0\.0\.1:1"):
            tagger.start_stream()
        assert tagger.settings()["reference"] == "internal"


def test_a_raw_socket_is_no_controller() -> None:
    with pytest.raises(NotConnected):
        Id900("zmq://127.0.0.1:1").connect(timeout_s=0.2)


def _read_on(stream: TagStream) -> None:
    while True:
        stream.read(timeout_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("reply", "argument", "says_it"),
    [
        ("on", "ON", True),
        ("CYCL", "CYCLE", True),
        ("1000", "1000TB", True),
        ("1E12TB", "1000000000000TB", True),
        ("OFF", "ON", False),
        ("O", "ON", False),
        ("INPU12", "INPU1", False),
        ("INPU", "INPU1", False),
        ("999TB", "1000TB", False),
        ("", "ON", False),
    ],
)
def test_an_echo_may_be_written_otherwise(reply: str, argument: str, says_it: bool) -> None:
    assert is_echo(reply, argument) is says_it
