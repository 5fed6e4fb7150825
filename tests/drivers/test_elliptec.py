"""Packets of the Elliptec bus: the manual's exchanges, numbers of either sign, rubbish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import elliptec
from qnx_hw.errors import ProtocolError


def test_the_manuals_requests_are_written_to_the_byte() -> None:
    assert elliptec.request("0", "in") == b"0in"
    assert elliptec.request("0", "ma", 0x4600, 8) == b"0ma00004600"
    assert elliptec.request("0", "mr", -0xF8E, 8) == b"0mrFFFFF072"
    assert elliptec.request("A", "sv", 50, 2) == b"Asv32"


def test_the_manuals_identity_is_read() -> None:
    reply = elliptec.decode(b"0IN0E1140010020231701016800023000")

    assert reply is not None
    assert elliptec.module(reply) == elliptec.Module(0x0E, "11400100", "17", 143_360)


@given(st.integers(-(2**31), 2**31 - 1))
def test_positions_keep_their_sign(pulses: int) -> None:
    field = elliptec.request("3", "ma", pulses, 8)[3:]

    reply = elliptec.decode(b"3PO" + field)

    assert reply is not None
    assert elliptec.position(reply) == pulses


@given(st.binary(max_size=40))
def test_rubbish_is_refused_in_our_words(line: bytes) -> None:
    reply = elliptec.decode(line)
    if reply is not None and len(reply.fields) not in {2, 8, 30}:
        for read in (elliptec.position, elliptec.status, elliptec.module):
            with pytest.raises(ProtocolError):
                read(reply)
