"""The tagger board's driver against an emulated board."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.fpga_frames import Frames, Kind, encode, read
from drivers.fpga_tagger import FpgaTagger
from qnx_hw.errors import (
    Busy,
    Cancelled,
    InstrumentRefused,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.tags import UNKNOWN_LOSS
from qnx_hw.instruments.values import Edge, InstrumentState, Reference
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.fpga_board import FrameReader, frame
from sim_devices.emulators.fpga_tagger import FpgaTaggerEmulator

Serve = Callable[..., list[str]]
FRAMES = st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300)))


@given(FRAMES, st.integers(1, 40), st.binary(max_size=20))
def test_frames_survive_any_chunking_and_noise_before_them(
    frames: list[tuple[int, int, bytes]], chunk: int, noise: bytes
) -> None:
    # Noise that could be the beginning of a frame would wait for the rest of it.
    stream = noise.replace(b"Q", b"-") + b"".join(encode(*each) for each in frames)
    framer, reader = Frames(), FrameReader()

    parts = [stream[start : start + chunk] for start in range(0, len(stream), chunk)]
    ours = [tuple(read(message)) for part in parts for message in framer.feed(part)]
    boards = [each for part in parts for each in reader.feed(part)]

    assert ours == boards == frames


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_frame_with_a_changed_bit_is_skipped(payload: bytes, data: st.DataObject) -> None:
    damaged = bytearray(encode(Kind.TAGS, 7, payload))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    found = list(Frames().feed(bytes(damaged)))

    assert found == []


def test_both_ends_of_the_wire_make_the_same_frames() -> None:
    assert encode(Kind.SEED, 9, b"abc") == frame(0x10, 9, b"abc")


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "pty"])
def test_blocks_join_and_hold_every_input(serve: Serve, listen: str) -> None:
    (url,) = serve(FpgaTaggerEmulator(options={"inputs": 8, "rate_cps": 5000}), listen)

    with FpgaTagger(url) as tagger, tagger.start_stream(block_s=0.05) as stream:
        assert tagger.capabilities.n_channels == 8
        assert tagger.status().state is InstrumentState.STREAMING
        blocks = [stream.read(timeout_s=120.0) for _ in range(6)]

    for before, after in itertools.pairwise(blocks):
        assert before.end_ps == after.start_ps
        assert before.is_complete
    assert all(block.end_ps - block.start_ps >= 50_000_000_000 for block in blocks)
    assert set(np.concatenate([block.channels for block in blocks]).tolist()) == set(range(1, 9))


def test_settings_are_held_by_the_board(serve: Serve) -> None:
    (url,) = serve(FpgaTaggerEmulator())

    with FpgaTagger(url) as tagger:
        assert tagger.set_threshold_v(3, -0.25, Edge.FALLING) == pytest.approx(-0.25)
        assert tagger.set_reference(Reference.EXTERNAL) is Reference.EXTERNAL
        held = tagger.settings()
        assert (held["threshold_3_v"], held["edge_3"]) == (-0.25, "falling")
        with pytest.raises(InstrumentRefused, match="-5 to 5"):
            tagger.configure({"threshold_1_v": 9.0, "reference": "internal"})
        assert tagger.settings() == held
        with pytest.raises(Unsupported):
            tagger.configure({"colour": 1})
        with pytest.raises(RangeError):
            tagger.set_threshold_v(9, 0.1, Edge.RISING)


def test_rates_are_counted_from_a_stream(serve: Serve) -> None:
    (url,) = serve(FpgaTaggerEmulator(options={"rate_cps": 20_000, "inputs": 5}))
    given_up = threading.Event()
    given_up.set()

    with FpgaTagger(url) as tagger:
        rates = tagger.count_rates(0.2)
        with pytest.raises(Cancelled):
            tagger.count_rates(5.0, cancel=given_up)

    assert len(rates) == 5
    assert all(abs(rate - 20_000) < 6 * (20_000 / 0.2) ** 0.5 for rate in rates)


def test_an_overflow_is_a_loss_of_known_size(serve: Serve) -> None:
    faults = Faults([Fault(FaultKind.OVERFLOW, 0.0)])
    options = {"rate_cps": 20_000, "faults": faults}
    (url,) = serve(FpgaTaggerEmulator(options=options), faults=faults)

    with FpgaTagger(url) as tagger, tagger.start_stream(block_s=0.02) as stream:
        blocks = [stream.read(timeout_s=120.0) for _ in range(4)]

    assert sum(block.lost > 0 for block in blocks) == 1
    assert all(block.lost != UNKNOWN_LOSS for block in blocks)


def test_a_second_stream_is_refused_and_a_closed_one_can_be_followed(serve: Serve) -> None:
    (url,) = serve(FpgaTaggerEmulator())

    with FpgaTagger(url) as tagger:
        with tagger.start_stream() as stream:
            with pytest.raises(Busy):
                tagger.start_stream()
            stream.read(timeout_s=120.0)
        with tagger.start_stream() as stream:
            assert stream.read(timeout_s=120.0).is_complete
