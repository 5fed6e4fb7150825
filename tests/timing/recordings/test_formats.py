"""quTAG and S-Fifteen files, made here word by word after their layouts."""

import contextlib
import itertools
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings import Format, detect, read

Tags = list[tuple[int, int]]
tag_lists = st.lists(
    st.tuples(st.integers(0, 2**53), st.integers(1, 15)), min_size=1, max_size=60
).map(sorted)


def words_of(tags: Tags) -> list[int]:
    """S-Fifteen words from (time in 1/256 ns, input pattern)."""
    return [ticks << 10 | pattern for ticks, pattern in tags]


def expected(tags: Tags) -> list[tuple[int, int]]:
    return [
        (ticks * 125 // 32, bit + 1)
        for ticks, pattern in tags
        for bit in range(4)
        if pattern >> bit & 1
    ]


def qutag(tags: Tags) -> bytes:
    return b"\x87" * 40 + b"".join(struct.pack("<QH", *tag) for tag in tags)


@given(tag_lists)
def test_every_sfifteen_form_gives_the_same_tags(tags: Tags) -> None:
    words = words_of(tags)
    forms = {
        Format.SFIFTEEN_BINARY: [
            b"".join(struct.pack("<II", w & 0xFFFFFFFF, w >> 32) for w in words)
        ],
        Format.SFIFTEEN_TEXT: [
            "".join(f"{w & 0xFFFFFFFF:08x}\n{w >> 32:08x}\n" for w in words).encode(),
            "".join(f"{w:016x}\n" for w in words).encode(),
        ],
    }

    recordings = [read(content, kind) for kind, contents in forms.items() for content in contents]

    for recording in recordings[2:]:
        found = zip(recording.times_ps.tolist(), recording.channels.tolist(), strict=True)
        assert sorted(found) == sorted(expected(tags))


def test_the_legacy_word_order_is_found_from_the_order_of_times() -> None:
    times = range(1 << 40, (1 << 40) + 200 * 12_345_678, 12_345_678)
    words = words_of([(ticks, 1 + index % 2) for index, ticks in enumerate(times)])
    low_first = b"".join(struct.pack("<II", w & 0xFFFFFFFF, w >> 32) for w in words)
    legacy = b"".join(struct.pack("<II", w >> 32, w & 0xFFFFFFFF) for w in words)

    assert read(low_first).times_ps.tolist() == read(legacy).times_ps.tolist()
    assert "legacy" in read(legacy).format
    assert "legacy" not in read(low_first).format


def test_dummy_words_carry_the_clock_and_make_no_tag() -> None:
    words = [(1 << 20) << 10 | 0b10001, (1 << 21) << 10 | 0b00100]

    recording = read("".join(f"{w:016x}\n" for w in words).encode())

    assert recording.counts() == {3: 1}
    assert recording.overflows == 1


def test_a_clock_that_wraps_goes_on() -> None:
    last = (1 << 54) - 1
    words = words_of([(last - 1000, 1), (last, 1), (5, 1), (1000, 1)])

    recording = read("".join(f"{w:016x}\n" for w in words).encode())

    assert np.diff(recording.times_ps).tolist() == [3907, 23, 3887]


@given(st.lists(st.tuples(st.integers(0, 10**11), st.integers(0, 200)), min_size=1, max_size=50))
def test_qutag_tags_come_back_sorted_and_their_backward_steps_counted(tags: Tags) -> None:
    recording = read(qutag(tags), Format.QUTAG)

    assert recording.times_ps.tolist() == sorted(time for time, _ in tags)
    assert recording.backward_steps == sum(b[0] < a[0] for a, b in itertools.pairwise(tags))


def test_a_qutag_file_is_recognised() -> None:
    assert detect(qutag([(10**17 + step * 977, step % 5) for step in range(500)])) is Format.QUTAG


@pytest.mark.parametrize(
    ("content", "kind", "reason"),
    [
        (qutag([(1, 1)])[:-3], Format.QUTAG, "cut short"),
        (qutag([(1, 1), (2, 999)]), Format.QUTAG, "record 1 has channel 999"),
        (b"0123456789abcdef\nxyz\n", Format.SFIFTEEN_TEXT, "line 2 is 'xyz'"),
        (b"\0" * 15, Format.SFIFTEEN_BINARY, "cut short"),
        (b"once upon a time\n" * 9, None, "reads none"),
        (b"", None, "no recording qnx knows"),
    ],
)
def test_a_damaged_file_is_refused_in_words(
    content: bytes, kind: Format | None, reason: str
) -> None:
    with pytest.raises(RecordingError, match=reason):
        read(content, kind)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(RecordingError):
        assert np.all(np.diff(read(content).times_ps) >= 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PQHISTO\0" + bytes(72), "histograms"),
        (b"TTQP\0\0RT" + bytes(72), "swapped in fours"),
        (b"PicoHarp 300\0\0\0\0" + bytes(64), "convert it to PTU"),
        (b"5,1\n3,1\n", "reads none"),
        (b"\xef\xbb\xbftime;channel\r\n15;2\r\n", "reads none"),
    ],
)
def test_files_of_others_are_not_taken_for_bare_words(content: bytes, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        detect(content)
