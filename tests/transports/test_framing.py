"""Messages survive any chunking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.errors import ConfigError
from qnx_hw.transports import Lines, make_wire, option

LINE = st.binary(max_size=40).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))


@given(st.lists(LINE), st.integers(1, 9), st.sampled_from([b"\n", b"\r\n"]))
def test_lines_survive_any_chunking(lines: list[bytes], chunk: int, end: bytes) -> None:
    stream = b"".join(line + end for line in lines)
    framer = Lines()

    received = [
        line
        for start in range(0, len(stream), chunk)
        for line in framer.feed(stream[start : start + chunk])
    ]

    assert received == lines


def test_a_line_without_an_end_is_given_up() -> None:
    framer = Lines(limit=10)

    assert list(framer.feed(b"x" * 11)) == [b"x" * 11]
    assert list(framer.feed(b"y\n")) == [b"y"]


@pytest.mark.parametrize(
    "url",
    ["", "tcp://", "tcp://host", "tcp://host:99999", "serial://", "gpib://1", "serial:///x?baud=a"],
)
def test_a_url_that_makes_no_sense_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        make_wire(url)


def test_an_option_is_read_from_the_url() -> None:
    assert option("tcp://host:1?counts_port=7", "counts_port", "8") == "7"
    assert option("tcp://host:1", "counts_port", "8") == "8"
