"""`qnx check` reports in sentences and in JSON, and moves nothing without consent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from emulated import emulated

from qnx_hw.cli import main


def test_a_report_names_each_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with emulated("dg645") as place:
        status = main(["check", "dg645", place.url, "--json", str(tmp_path / "report.json")])

    assert status == 0
    assert "0 failed" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert report["passed"] is True
    assert "DG645" in report["identity"]
    assert outcomes["identity"] == outcomes["threads"] == "pass"
    assert outcomes["set_delay_ps"] == "skip"


@pytest.mark.slow
def test_faults_are_tried_on_the_wire(capsys: pytest.CaptureFixture[str]) -> None:
    with emulated("osw") as place:
        words = ["check", "osw", place.url, "--move", "--faults", "--timeout", "20"]
        assert main(words) == 0

    shown = capsys.readouterr().out
    assert "ok    unplug × apply" in shown
    assert "skip  device error × apply" in shown


def test_nobody_there_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "osw", "tcp://127.0.0.1:1"]) == 1
    assert "nothing answers at tcp://127.0.0.1:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["warp", "tcp://127.0.0.1:1"], "'warp'"),
        (["osw", "tcp://127.0.0.1:1", "--set", "speed"], "NAME=VALUE"),
    ],
)
def test_nonsense_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 1
    assert said in capsys.readouterr().err
