"""`qnx tags` on recordings made here."""

import json
from pathlib import Path

import numpy as np
import pytest

from qnx_hw.cli import main

DELAY_TICKS = 35_600
"""Delay from input 1 to input 4 in 1/256 ns: 139 062.5 ps."""


def write_recording(path: Path, pairs: int = 2000, seed: int = 4) -> Path:
    """An S-Fifteen a1 file: input 4 clicks a fixed delay after input 1, input 2 at random."""
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(1 << 30, (1 << 30) + 256_000_000_000, pairs))
    tags = [(int(t), 1) for t in start] + [(int(t) + DELAY_TICKS, 8) for t in start]
    tags += [(int(t), 2) for t in rng.integers(start[0], start[-1], pairs)]
    words = [ticks << 10 | pattern for ticks, pattern in sorted(tags)]
    path.write_bytes(b"".join(word.to_bytes(8, "little") for word in words))
    return path


def test_info_counts_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = write_recording(tmp_path / "x.ts"), tmp_path / "info.json"

    assert main(["tags", "info", str(file), "--json", str(out)]) == 0

    info = json.loads(out.read_text())
    assert [(c["channel"], c["tags"]) for c in info["channels"]] == [
        (1, 2000),
        (2, 2000),
        (4, 2000),
    ]
    assert info["duration_s"] == pytest.approx(1.0, rel=0.01)
    assert "6,000 tags" in capsys.readouterr().out


def test_pairs_finds_the_delay_and_counts_around_it(tmp_path: Path) -> None:
    file, out = write_recording(tmp_path / "x.ts"), tmp_path / "pairs.json"

    assert main(["tags", "pairs", str(file), "--json", str(out)]) == 0

    pairs = {(p["start"], p["stop"]): p for p in json.loads(out.read_text())["pairs"]}
    assert pairs[1, 4]["delay_ps"] == pytest.approx(139_062.5, abs=500)
    assert pairs[1, 4]["pairs"] >= 2000
    assert pairs[1, 4]["car"] > 100
    assert pairs[1, 2]["pairs"] < 20


def test_g2_peaks_at_the_delay_and_is_one_elsewhere(tmp_path: Path) -> None:
    file, out = write_recording(tmp_path / "x.ts", pairs=20_000), tmp_path / "g2.json"
    words = ["g2", str(file), "--bin-ps", "100000", "--range-ps", "10000000", "--json", str(out)]

    assert main(["tags", *words, "--channels", "1", "4"]) == 0

    result = json.loads(out.read_text())
    peak = int(np.argmax(result["g2"]))
    assert result["delays_ps"][peak] - 50_000 <= 139_062 < result["delays_ps"][peak] + 50_000
    others = np.delete(result["g2"], peak)
    assert np.mean(others) == pytest.approx(1.0, abs=4 / np.sqrt(sum(result["counts"]) - 20_000))


def test_several_files_are_answered_in_order(tmp_path: Path) -> None:
    files = [str(write_recording(tmp_path / f"{n}.ts", seed=n)) for n in (1, 2)]
    out = tmp_path / "all.json"

    assert main(["tags", "info", *files, "--json", str(out)]) == 0

    assert [entry["file"] for entry in json.loads(out.read_text())] == ["1.ts", "2.ts"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["info", "missing.ptu"], "cannot read missing.ptu"),
        (["g2", "x.ts", "--channels", "1", "3"], "no tags on channel 3; it has 1, 2, 4"),
        (["info", "x.ts", "--format", "ptu"], "x.ts: the PTU header breaks off"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    reason: str,
) -> None:
    write_recording(tmp_path / "x.ts")
    monkeypatch.chdir(tmp_path)

    assert main(["tags", *words]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
