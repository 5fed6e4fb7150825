"""`qnx bench`: suites are found, run, and written as JSON of the agreed form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qnx_hw.cli import main
from qnx_hw.commands import bench, bench_page
from qnx_hw.commands.measurements import Report, Result

SUITE = """
from qnx_hw.commands.bench import Result

def suite():
    yield Result(name="speed", value=3.0, unit="1/s", goal=2.0, met=True)
    yield Result(name="size", value=3.0, unit="B", peer="other", peer_value=6.0, ratio=0.5)
"""


def test_a_suites_results_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.py").write_text(SUITE)
    out = tmp_path / "out.json"

    assert main(["bench", "tiny", "--folder", str(tmp_path), "--json", str(out)]) == 0

    written = json.loads(out.read_text())
    assert written["machine"]["cores"] >= 1
    assert [each["name"] for each in written["results"]] == ["speed", "size"]
    assert set(written["results"][1]) == {
        "name", "value", "unit", "goal", "met", "peer", "peer_value", "ratio"
    }  # fmt: skip
    assert "other 6 (ratio 0.5)" in capsys.readouterr().out


def test_what_did_not_come_is_kept_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    never = "yield Result(name='learnt after', value=float('nan'), unit='s')"
    (tmp_path / "tiny.py").write_text(f"{SUITE}    {never}\n")
    page = tmp_path / "page.md"

    for words in (["tiny"], []):  # the second time from what was kept
        assert main(["bench", *words, "--folder", str(tmp_path), "--page", str(page)]) == 0
        assert "| learnt after | never |" in page.read_text()
    assert "never" in capsys.readouterr().out


def test_a_suite_runs_in_the_parts_that_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = "    return [Result(name='{0}', value=1.0, unit='1')]\n"
    parts = "".join(f"\ndef {name}():\n{half.format(name)}" for name in ("left", "right"))
    (tmp_path / "tiny.py").write_text(f"{SUITE}{parts}\nPARTS = {{'left': left, 'right': right}}")
    tiny = ["bench", "tiny", "--folder", str(tmp_path)]

    assert main([*tiny, "--part", "right"]) == 0
    shown = capsys.readouterr().out
    assert "right" in shown
    assert "left" not in shown
    assert "speed" not in shown
    assert main([*tiny, "--part", "middle"]) == 1
    assert "no part 'middle'; it has left, right" in capsys.readouterr().err


def test_an_unknown_suite_is_refused_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nonsense"]) == 1
    assert "there is no suite 'nonsense'; there are" in capsys.readouterr().err


def test_the_alignment_suite_is_here() -> None:
    assert "alignment" in bench.suites()


BROKEN = """
from qnx_hw.errors import ConfigError

def suite():
    raise ConfigError("this machine has no such thing")
    yield
"""


@pytest.mark.slow  # two interpreters start
def test_all_suites_are_run_kept_and_put_on_a_page_whatever_one_of_them_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.py").write_text(SUITE)
    (tmp_path / "broken.py").write_text(BROKEN)
    page = tmp_path / "page.md"
    words = ["bench", "all", "--folder", str(tmp_path), "--page", str(page)]

    assert main(words) == 1
    assert "ended without a result: broken" in capfd.readouterr().err
    first = page.read_text()
    assert "| `broken` | not measured yet |" in first
    assert "| speed | 3 1/s | 2 | yes |  |  |" in first
    assert "| size | 3 B |  |  | other: 6 | 0.5 |" in first

    (tmp_path / "broken.py").unlink()
    (tmp_path / "tiny.py").write_text(SUITE.replace("3.0", "4.0"))
    assert main([*words, "--missing"]) == 0
    assert "| speed | 3 1/s |" in page.read_text()  # what has a result is not run again
    assert main(["bench", "tiny", "--folder", str(tmp_path), "--page", str(page)]) == 0
    assert "| speed | 4 1/s |" in page.read_text()


def test_a_page_says_of_each_suite_when_and_on_what_it_was_measured(tmp_path: Path) -> None:
    results = [
        Result(name="a|b", value=1.0, unit="s", goal=0.5, met=False, peer="gone: not installed"),
        Result(name="c", value=2.0, unit="s", goal=3.0, met=True),
    ]
    for suite, cores in (("one", 2), ("other_one", 8)):
        machine: dict[str, str | int] = {"processor": "P", "cores": cores}
        report = Report(
            machine=machine, results=results, begun="2026-11-26 05:30", lasted_s=61.2, load=0.5
        )
        bench_page.keep(tmp_path, suite, report)

    text = bench_page.page(["one", "other_one", "third"], bench_page.kept(tmp_path))

    assert "| [`one`](#one) | 2026-11-26 05:30 | 61 s | 1 | 0.5 | 1 of 2 |" in text
    assert "| [`other_one`](#other_one) | 2026-11-26 05:30 | 61 s | 2 | 0.5 | 1 of 2 |" in text
    assert "| `third` | not measured yet | | | | |" in text
    assert "Machine 2: processor P, cores 8." in text
    assert "| a\\|b | 1 s | 0.5 | **NO** | gone: not installed |  |" in text


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "name a suite"),
        (["all"], "`all` takes --page FILE"),
        (["tiny", "--missing", "--page", "p.md"], "--missing goes with `all`"),
        (["tiny", "--part", "left", "--page", "p.md"], "leave --part out"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 1
    assert reason in capsys.readouterr().err


def test_a_damaged_result_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "tiny.json").write_text("{")

    words = ["bench", "--folder", str(tmp_path), "--page", str(tmp_path / "page.md")]
    assert main(words) == 1
    assert "tiny.json is no result of a suite" in capsys.readouterr().err


def test_the_page_in_the_documents_says_what_the_kept_results_say() -> None:
    written = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks.md"

    composed = bench_page.page([], bench_page.kept(bench.FOLDER / "results"))

    sections = composed.split("\n## ")[1:]
    assert all(section.strip() in written.read_text() for section in sections)
