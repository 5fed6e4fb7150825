"""The terminal shows what the link reports, honestly where nothing is known."""

from __future__ import annotations

import io

import msgspec

from qnx_hw.api.schema import (
    BlockStage,
    ChannelRate,
    Event,
    Level,
    LinkPhase,
    LinkView,
)
from qnx_hw.api.value import Estimate
from qnx_hw.commands.screen import Screen, bar, lines_of, si

IDLE = LinkView(
    name="alice-bob",
    alice="alice",
    bob="bob",
    protocol="bbm92",
    phase=LinkPhase.CONNECTING,
    stage=BlockStage.COLLECTING,
    message="no peer at 127.0.0.1:1",
)
BUSY = msgspec.structs.replace(
    IDLE,
    phase=LinkPhase.GENERATING,
    message="",
    qber=Estimate(value=0.0213, sigma=0.001),
    chsh_s=Estimate(value=2.71, sigma=0.02),
    rates=(ChannelRate(station="alice", label="H", rate_cps=75_300.0),),
    secret_bits=30_123,
    blocks_done=1,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_is_not_known_is_a_dash() -> None:
    text = "\n".join(lines_of(IDLE))

    assert "no peer at 127.0.0.1:1" in text
    assert "CHSH S –" in text
    assert "nan" not in text.lower()


def test_numbers_carry_units_and_errors() -> None:
    text = "\n".join(lines_of(BUSY))

    assert "H 75.3 k" in text
    assert "2.710 ± 0.020" in text
    assert "30,123 bits" in text


def test_plain_output_repeats_nothing() -> None:
    out = io.StringIO()
    screen = Screen(out)
    for link in (IDLE, IDLE, BUSY, BUSY):
        screen.show([link])

    assert len(out.getvalue().splitlines()) == 2
    assert "\x1b" not in out.getvalue()


def test_a_terminal_is_drawn_in_place_below_what_was_said() -> None:
    out = Terminal()
    screen = Screen(out, now=lambda: 5.0)
    screen.show([BUSY])
    screen.tell(Event(number=1, time_s=4.0, level=Level.OK, source="alice-bob", message="old"))
    screen.tell(Event(number=2, time_s=5.0, level=Level.OK, source="alice-bob", message="key"))

    assert "old" not in out.getvalue()  # an earlier run's
    assert f"\x1b[{len(lines_of(BUSY))}F\x1b[J+  alice-bob: key\n" in out.getvalue()


def test_bars_and_prefixes_stay_in_bounds() -> None:
    assert {len(bar(fraction)) for fraction in (-1.0, 0.0, 0.5, 1.0, 7.0)} == {30}
    assert [si(value) for value in (0.0, 999.0, 75_300.0, 2.5e6)] == [
        "0 ",
        "999 ",
        "75.3 k",
        "2.5 M",
    ]
