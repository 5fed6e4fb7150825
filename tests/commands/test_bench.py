"""`qnx bench`: suites are found, run, and written as JSON of the agreed form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qnx_hw.cli import main
from qnx_hw.commands import bench

SUITE = """
from qnx_hw.commands.bench import Result

def suite():
    yield Result(name="speed", value=3.0, unit="1/s", goal=2.0, met=True)
    yield Result(name="size", value=3.0, unit="B", peer="other", peer_value=6.0, ratio=0.5)
"""


def test_a_suites_results_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.py").write_text(SUITE)
    monkeypatch.setattr(bench, "FOLDER", tmp_path)

    assert main(["bench", "tiny", "--json", str(tmp_path / "out.json")]) == 0

    written = json.loads((tmp_path / "out.json").read_text())
    assert written["machine"]["cores"] >= 1
    assert [each["name"] for each in written["results"]] == ["speed", "size"]
    assert set(written["results"][1]) == {
        "name", "value", "unit", "goal", "met", "peer", "peer_value", "ratio"
    }  # fmt: skip
    assert "other 6 (ratio 0.5)" in capsys.readouterr().out


def test_a_suite_runs_in_the_parts_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half = "    return [Result(name='{0}', value=1.0, unit='1')]\n"
    parts = "".join(f"\ndef {name}():\n{half.format(name)}" for name in ("left", "right"))
    (tmp_path / "tiny.py").write_text(f"{SUITE}{parts}\nPARTS = {{'left': left, 'right': right}}")
    monkeypatch.setattr(bench, "FOLDER", tmp_path)

    assert main(["bench", "tiny", "--part", "right"]) == 0
    shown = capsys.readouterr().out
    assert "right" in shown
    assert "left" not in shown
    assert "speed" not in shown
    assert main(["bench", "tiny", "--part", "middle"]) == 1
    assert "no part 'middle'; it has left, right" in capsys.readouterr().err


def test_an_unknown_suite_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nonsense"]) == 1
    assert "there is no suite 'nonsense'; there are" in capsys.readouterr().err


def test_the_alignment_suite_is_here() -> None:
    assert "alignment" in bench.suites()
