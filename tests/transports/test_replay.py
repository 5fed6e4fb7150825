"""A recorded wire runs again without its instrument, byte by byte."""

from __future__ import annotations

import json
import select
from pathlib import Path

import pytest
from emulated import emulated
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.cli import main
from qnx_hw.errors import ConfigError, NotConnected
from qnx_hw.transports import Direction, Transcript, Wire, make_wire, of_wire, other_wire
from qnx_hw.transports.replay import Exchange, ReplayWire

LONG_S = 120.0
Steps = list[tuple[Direction, bytes]]


def written(path: Path, *lines: object) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    return f"transcript://{path}"


def asked(path: Path) -> list[str]:
    """What was sent on all wires, once each."""
    lines = map(json.loads, path.read_text().splitlines())
    return list(dict.fromkeys(line["hex"] for line in lines if line.get("dir") == ">"))


@given(
    st.lists(st.tuples(st.sampled_from(Direction), st.binary(min_size=1, max_size=9))),
    st.integers(1, 7),
)
def test_however_bytes_are_cut_a_replay_gives_what_was_received(steps: Steps, chunk: int) -> None:
    wire = ReplayWire(Exchange(tuple(steps)), "steps")
    wire.open(timeout_s=LONG_S)
    sent = b"".join(payload for way, payload in steps if way is Direction.SENT)
    for start in range(0, len(sent), chunk):
        wire.write(sent[start : start + chunk])

    expected = b"".join(payload for way, payload in steps if way is Direction.RECEIVED)
    received = b""
    while len(received) < len(expected):
        received += wire.read()
    assert received == expected
    assert wire.left == 0
    wire.close()


def test_other_bytes_than_recorded_break_the_wire(tmp_path: Path) -> None:
    url = written(tmp_path / "a.jsonl", {"dir": ">", "hex": b"LEVEL?\n".hex()})
    wire = make_wire(url)
    wire.open(timeout_s=LONG_S)

    wire.write(b"LEV")
    with pytest.raises(NotConnected, match=r"a\.jsonl has b'EL\?.*where b'ER"):
        wire.write(b"ER?\n")
    wire.close()


def test_keep_alives_may_come_at_any_time(tmp_path: Path) -> None:
    url = written(tmp_path / "a.jsonl", {"ignore": ["aa"]}, {"dir": ">", "hex": "0102"})
    wire = make_wire(url)
    wire.open(timeout_s=LONG_S)

    for payload in (b"\xaa", b"\x01", b"\xaa", b"\x02", b"\xaa"):
        assert wire.write(payload) == len(payload)
    wire.close()


def step(way: str, said: bytes, **more: object) -> dict[str, object]:
    return {"dir": way, "hex": said.hex(), **more}


def read(wire: Wire, size: int) -> bytes:
    received = b""
    while len(received) < size:
        select.select([wire.fileno()], [], [], LONG_S)
        received += wire.read()
    return received


def test_who_polls_may_ask_more_or_less_often_than_recorded(tmp_path: Path) -> None:
    turns = [(b"A?\n", b"busy"), (b"A?\n", b"ready"), (b"A?\n", b"ready"), (b"B?\n", b"bye")]
    steps = [step(*part) for q, a in turns for part in ((">", q), ("<", a))]
    wire = make_wire(written(tmp_path / "a.jsonl", *steps))

    wire.open(timeout_s=LONG_S)
    wire.write(b"A?\n")
    wire.write(b"B?\n")
    assert read(wire, 7) == b"busybye"
    wire.close()

    wire.open(timeout_s=LONG_S)
    for _ in range(5):
        wire.write(b"A?\n")
    wire.write(b"B?\n")
    assert read(wire, 27) == b"busyready" + b"ready" * 3 + b"bye"
    with pytest.raises(NotConnected, match="ends before"):
        wire.write(b"C?\n")
    wire.close()


def test_a_setting_is_not_passed_over(tmp_path: Path) -> None:
    steps = [step(">", b"A 1\n"), step(">", b"A 1\n"), step(">", b"B?\n"), step("<", b"2")]
    wire = make_wire(written(tmp_path / "a.jsonl", *steps))
    wire.open(timeout_s=LONG_S)
    wire.write(b"A 1\n")

    with pytest.raises(NotConnected, match="has b'A 1"):
        wire.write(b"B?\n")
    wire.close()


def test_a_transcript_keeps_wires_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    transcript = Transcript(path)
    transcript(Direction.SENT, b"1")
    other = of_wire(transcript, "counts", is_endless=True)
    assert other is not None
    for said in (b"2", b"3"):
        other(Direction.RECEIVED, said)
    transcript(Direction.RECEIVED, b"4")
    transcript.close()

    first = make_wire(f"transcript://{path}")
    counts = make_wire(other_wire(f"transcript://{path}", "counts", "tcp://counts:1"))
    for wire in (first, counts):
        wire.open(timeout_s=LONG_S)
    first.write(b"1")

    assert read(first, 1) == b"4"
    assert read(counts, 5)[:5] == b"23232"
    first.close()
    counts.close()
    assert other_wire("tcp://a:1", "counts", "tcp://counts:1") == "tcp://counts:1"


def test_a_long_answer_needs_no_room_in_the_pipe(tmp_path: Path) -> None:
    long = bytes(range(256)) * 20_000
    wire = make_wire(written(tmp_path / "a.jsonl", step(">", b"?"), step("<", long)))
    wire.open(timeout_s=LONG_S)
    wire.write(b"?")

    assert read(wire, len(long)) == long
    wire.close()


@pytest.mark.parametrize("line", ['{"dir": "?", "hex": "00"}', '{"dir": ">", "hex": "0"}', "[1"])
def test_a_damaged_transcript_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"dir": ">", "hex": "00"}\n' + line)

    with pytest.raises(ConfigError, match="line 2"):
        make_wire(f"transcript://{path}")


SEVERAL_WIRES = ["websq", pytest.param("id900", marks=pytest.mark.slow)]
CAPTURED = ["dg645", "polatis", "lcc25", "epc400", "pm100", "sim900", *SEVERAL_WIRES]


@pytest.mark.parametrize("driver", CAPTURED)
def test_a_capture_runs_again_without_its_instrument(
    driver: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wire.jsonl"
    with emulated(driver) as place:
        assert main(["capture", driver, place.url, "--out", str(path), "--timeout", "20"]) == 0

    assert "answered" in capsys.readouterr().out
    assert json.loads(path.read_text().splitlines()[0])["driver"] == driver
    again = tmp_path / "again.jsonl"
    words = ["capture", driver, f"transcript://{path}", "--out", str(again), "--timeout", "20"]
    assert main(words) == 0
    assert asked(again) == asked(path)


def test_an_instrument_of_a_network_file_can_be_captured(tmp_path: Path) -> None:
    with emulated("dg645") as place:
        network = tmp_path / "lab.toml"
        network.write_text(
            '[network]\nname = "lab"\n[nodes.alice]\nlisten = "127.0.0.1:1"\n'
            f'[nodes.alice.instruments.delay]\ndriver = "dg645"\nurl = "{place.url}"\n'
        )
        path = tmp_path / "wire.jsonl"
        words = ["capture", str(network), "alice.delay", "--out", str(path), "--timeout", "20"]
        assert main(words) == 0
        assert main(["capture", str(network), "bob.delay", "--out", str(path)]) == 1

    assert b"LERR?".hex() not in path.read_text()
    assert b"*IDN?".hex() in path.read_text()
