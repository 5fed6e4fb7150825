"""The TDC1's emulator against the maker's command list and word format."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.tdc1 import Tdc1Emulator
from sim_devices.emulators.tdc1_words import PERIOD_UNITS, pack

ENDS = st.sampled_from([b";", b"\n", b"\r\n", b" ;\r\n"])
COMMANDS = st.sampled_from(
    [
        b"*IDN?",
        b"time 300",
        b"TIME?",
        b"pairs",
        b"mode?",
        b"nim",
        b"Level?",
        b"POS 0.7",
        b"help",
        b"",
    ]
)


def talk(device: Tdc1Emulator, sent: bytes, now_s: float = 0.0) -> bytes:
    return b"".join(output.payload for output in device.feed(0, 1, sent, now_s))


def let_pass(device: Tdc1Emulator, from_s: float, until_s: float) -> bytes:
    steps = np.arange(from_s, until_s, 0.01)
    return b"".join(output.payload for now_s in steps for output in device.tick(float(now_s)))


def words(stream: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(stream[: len(stream) // 4 * 4], dtype="<u4")


@given(st.lists(st.tuples(COMMANDS, ENDS)), st.integers(1, 9))
def test_commands_are_obeyed_however_they_are_cut(
    commands: list[tuple[bytes, bytes]], chunk: int
) -> None:
    sent = b"".join(command + end for command, end in commands)
    whole = talk(Tdc1Emulator(), sent)
    device = Tdc1Emulator()

    pieces = [talk(device, sent[at : at + chunk]) for at in range(0, len(sent), chunk)]

    assert b"".join(pieces) == whole


@given(st.binary(max_size=300))
def test_noise_never_kills_it(noise: bytes) -> None:
    device = Tdc1Emulator()

    talk(device, noise)
    talk(device, b";abort;*rst;")

    assert talk(device, b"*idn?\n").startswith(b"TDC1")


def test_settings_are_silent_and_read_back() -> None:
    device = Tdc1Emulator()

    assert talk(device, b"time 40000;neg -0.4;refclk 2;timestamp\r\n") == b""
    assert talk(device, b"time?;level?;refclk?;mode?\r\n") == b"-25536\r\n-0.4 V\r\n2\r\n3\r\n"


def test_nonsense_and_values_out_of_range_are_ignored_silently() -> None:
    device = Tdc1Emulator()
    talk(device, b"time 250;neg -0.4;")

    assert talk(device, b"time 65536;neg -4;refclk 3;fly;time x;time;\n") == b""
    assert talk(device, b"time?;level?;refclk?;") == b"250\r\n-0.4 V\r\n0\r\n"


def test_counts_come_after_the_integration_time() -> None:
    device = Tdc1Emulator(options={"rate_cps": 1000.0})

    assert talk(device, b"singles;time 500;counts?\r\n") == b""
    assert let_pass(device, 0.01, 0.49) == b""
    line = let_pass(device, 0.5, 0.55)

    counts = [int(word) for word in line.removesuffix(b"\r\n").split(b" ")]
    assert len(counts) == 4
    assert all(250 < count < 850 for count in counts)
    assert let_pass(device, 0.55, 2.0) == b""


def test_pairs_show_eight_numbers() -> None:
    device = Tdc1Emulator(options={"rate_cps": 100_000.0})

    talk(device, b"pairs;time 100;counts?\r\n")
    line = let_pass(device, 0.01, 0.2)

    numbers = [int(word) for word in line.split()]
    assert len(numbers) == 8
    # 10^4 counts each and a window of +-4 ns: about eight accidental pairs.
    assert all(number < 40 for number in numbers[4:])


def test_abort_ends_an_integration_without_an_answer() -> None:
    device = Tdc1Emulator()
    talk(device, b"time 500;counts?;")

    assert talk(device, b"abort;", 0.1) == b""
    assert let_pass(device, 0.1, 2.0) == b""


def test_a_stream_obeys_only_abort() -> None:
    device = Tdc1Emulator(options={"rate_cps": 0.0})
    talk(device, b"INPKT;time 0;timestamp;counts?;\r\n")

    assert talk(device, b"*idn?;mode?;singles;time 5;\n", 0.001) == b""
    assert talk(device, b"abort\r\n", 0.002) == b""
    assert talk(device, b"mode?;time?;\n", 0.003) == b"3\r\n0\r\n"


def test_a_timed_stream_ends_by_itself() -> None:
    device = Tdc1Emulator(options={"rate_cps": 10_000.0})
    talk(device, b"INPKT;time 700;timestamp;counts?;\r\n")

    received = words(let_pass(device, 0.0, 2.0))

    clicks = received[received & 0x10 == 0]
    assert 0.8 < len(clicks) / (0.7 * 39_000) < 1.2
    assert talk(device, b"mode?;", 2.0) == b"3\r\n"


def test_markers_show_every_roll_over_of_a_silent_device() -> None:
    device = Tdc1Emulator(options={"rate_cps": 0.0})
    talk(device, b"time 0;timestamp;counts?;")

    received = words(let_pass(device, 0.0, 2.7))

    assert np.all(received & 0x1F == 0x10)
    units = (received >> 5).astype(np.int64)
    steps = np.diff(units) % PERIOD_UNITS
    assert np.all(steps <= PERIOD_UNITS // 2)
    assert 0xFFFFFFF0 in received.tolist()


def test_words_of_the_data_sheet() -> None:
    units = np.array([1, 500_000, 500_000, 2**27 - 1], dtype=np.int64)
    inputs = np.array([1, 1, 3, 2], dtype=np.uint8)

    packed = pack(units * 2000, inputs, 0, (2**27 - 1) * 2000)

    clicks = packed[packed & 0x10 == 0]
    assert clicks.tobytes().hex(" ", 4) == "21000000 0524f400 e2ffffff"


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 4)), max_size=200))
def test_every_click_is_in_the_words_in_order(clicks: list[tuple[int, int]]) -> None:
    clicks.sort()
    times_ps = np.array([time_ps for time_ps, _ in clicks], dtype=np.int64)
    inputs = np.array([number for _, number in clicks], dtype=np.uint8)

    packed = pack(times_ps, inputs, 0, 10**12)

    units = np.cumsum(np.diff((packed >> 5).astype(np.int64), prepend=0) % PERIOD_UNITS)
    found = {
        (int(unit), number)
        for unit, word in zip(units, packed.tolist(), strict=True)
        for number in (1, 2, 3, 4)
        if word >> (number - 1) & 1
    }
    assert found == {(time_ps // 2000, number) for time_ps, number in clicks}


def test_a_slip_loses_two_bytes_once() -> None:
    faults = Faults([Fault(FaultKind.SLIP, 0.5)])
    device = Tdc1Emulator(options={"faults": faults, "rate_cps": 10_000.0})
    talk(device, b"time 0;timestamp;counts?;")

    stream = let_pass(device, 0.0, 1.0)

    assert len(stream) % 4 == 2


def test_late_data_follow_an_abort() -> None:
    faults = Faults([Fault(FaultKind.LATE_DATA, 0.0)])
    device = Tdc1Emulator(options={"faults": faults, "rate_cps": 10_000.0})
    talk(device, b"time 0;timestamp;counts?;")
    talk(device, b"abort;", 0.1)

    assert len(let_pass(device, 0.1, 0.2)) == 256


def test_four_million_clicks_a_second_are_streamed_in_full() -> None:
    device = Tdc1Emulator(options={"rate_cps": 1.1e6})
    talk(device, b"time 0;timestamp;counts?;")

    received = words(let_pass(device, 0.0, 0.2) + talk(device, b"abort;", 0.2))

    patterns = received & 0xF
    clicks = sum(int(np.count_nonzero(patterns >> bit & 1)) for bit in range(4))
    assert 0.97 < clicks / (0.2 * 4.29e6) < 1.03


def test_a_stream_without_a_reader_goes_on_to_the_next_client() -> None:
    device = Tdc1Emulator()
    device.connected(0, 1)
    device.feed(0, 1, b"time 0;timestamp;counts?;", 0.0)
    device.disconnected(0, 1)
    device.connected(0, 2)

    streamed = device.tick(0.05)

    assert {output.client for output in streamed} == {2}
