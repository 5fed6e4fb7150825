"""Files without a mark of their own, damaged as disks, cables and people damage them."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings import Format, read

N = 2000
START_TICKS = 0x1234_5678_9ABC << 4


def sfifteen_words(n: int = N) -> np.ndarray:
    """Clicks about every 50 us on inputs 1 and 4, a dummy now and then."""
    rng = np.random.default_rng(7)
    ticks = START_TICKS + np.cumsum(rng.integers(1, 25_600_000, n))
    low_bits = np.where(np.arange(n) % 7 == 0, 0b11000, rng.choice([0b00001, 0b01000], n))
    words: np.ndarray = (ticks.astype(np.uint64) << np.uint64(10)) | low_bits.astype(np.uint64)
    return words


def sfifteen(*, is_legacy: bool = False, n: int = N) -> bytes:
    words = sfifteen_words(n)
    if is_legacy:
        words = (words << np.uint64(32)) | (words >> np.uint64(32))
    return words.astype("<u8").tobytes()


def qutag(n: int = N) -> bytes:
    rng = np.random.default_rng(8)
    times_ps = 342_342_429_999_871_629 + np.cumsum(rng.integers(1, 2_000_000, n))
    channels = rng.choice([1, 2, 5], n)
    tags = zip(times_ps.tolist(), channels.tolist(), strict=True)
    return bytes(range(40)) + b"".join(struct.pack("<QH", *tag) for tag in tags)


def test_the_whole_files_are_read() -> None:
    assert read(qutag()).records == N
    assert read(sfifteen()).format.endswith("low word first)")
    assert read(sfifteen(is_legacy=True)).format.endswith("legacy word order)")
    assert read(sfifteen()).times_ps.tolist() == read(sfifteen(is_legacy=True)).times_ps.tolist()


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_qutag_file_that_ends_within_a_record_is_cut_short(cut: int) -> None:
    with pytest.raises(RecordingError, match="quTAG file is cut short"):
        read(qutag()[:-cut])


@pytest.mark.parametrize("is_legacy", [False, True])
@pytest.mark.parametrize("cut", range(1, 8))
def test_an_sfifteen_file_that_ends_within_a_word_is_cut_short(cut: int, is_legacy: bool) -> None:
    with pytest.raises(RecordingError, match="S-Fifteen file is cut short"):
        read(sfifteen(is_legacy=is_legacy)[:-cut])


@pytest.mark.parametrize("lost", range(1, 10))
def test_a_qutag_file_without_its_first_bytes_is_refused(lost: int) -> None:
    whole_again = qutag()[lost : lost - 10]

    with pytest.raises(RecordingError, match="no recording qnx knows"):
        read(whole_again)


@pytest.mark.parametrize("is_legacy", [False, True])
@pytest.mark.parametrize("lost", range(1, 8))
def test_an_sfifteen_file_out_of_step_is_refused(lost: int, is_legacy: bool) -> None:
    shifted = sfifteen(is_legacy=is_legacy)[lost : lost - 8]

    for kind in (None, Format.SFIFTEEN_BINARY):
        with pytest.raises(RecordingError, match="words do not begin where the file does"):
            read(shifted, kind)


def test_a_byte_lost_in_the_middle_is_noticed() -> None:
    for content, record_bytes in ((qutag(), 10), (sfifteen(), 8)):
        middle = len(content) // 2
        spoiled = content[:middle] + content[middle + 1 : len(content) - record_bytes + 1]

        with pytest.raises(RecordingError):
            read(spoiled)


def test_time_that_goes_back_far_is_refused_and_a_little_is_sorted() -> None:
    words = sfifteen_words()
    near, far = words.copy(), words.copy()
    near[1000] -= np.uint64(256_000 << 10)  # 1 us
    far[1000] -= np.uint64(256_000_000_000 << 10)  # 1 s

    assert np.all(np.diff(read(near.astype("<u8").tobytes()).times_ps) >= 0)
    with pytest.raises(RecordingError, match=r"record 1000 is 1 s earlier .* more than 0.1 s"):
        read(far.astype("<u8").tobytes())
    late = struct.pack("<QH", 342_341_429_999_871_629, 1)
    with pytest.raises(RecordingError, match=r"record 2000 is 1 s earlier .* more than 0.1 s"):
        read(qutag() + late)


@pytest.mark.parametrize(
    "content",
    [
        b"once upon a time " * 60,
        "Zeit in µs; Kanal\r\n0,5; 1\r\n".encode() * 30,
        "Zeit in µs; Kanal\r\n0,5; 1\r\n".encode("latin-1") * 30,
        "time;channel\n".encode("utf-16") * 30,
        b'{"a": 1}' * 9,
    ],
)
@pytest.mark.parametrize("kind", [None, Format.QUTAG, Format.SFIFTEEN_BINARY])
def test_text_is_no_time_tag_whatever_the_file_is_called(
    content: bytes, kind: Format | None
) -> None:
    with pytest.raises(RecordingError, match="this is text"):
        read(content, kind)


@pytest.mark.parametrize("kind", [Format.QUTAG, Format.SFIFTEEN_BINARY])
def test_hex_text_that_is_called_binary_is_named_as_what_it_is(kind: Format) -> None:
    with pytest.raises(RecordingError, match="hex text of S-Fifteen"):
        read(b"0123456789abcdef\r\n" * 9, kind)


@pytest.mark.parametrize("octet", [0x00, 0xFF])
def test_a_file_that_was_never_written_is_refused(octet: int) -> None:
    with pytest.raises(RecordingError, match="nothing was recorded"):
        read(bytes([octet]) * 8000)


def test_random_bytes_are_refused() -> None:
    for size in (400, 800, 4000, 4040, 8001):
        with pytest.raises(RecordingError, match="no recording qnx knows"):
            read(np.random.default_rng(size).bytes(size))
