"""`qnx routes evaluate` on a traffic file made here."""

import io
import json
from pathlib import Path

import numpy as np
import pytest

from qnx_hw.cli import main
from qnx_hw.commands.routes import load


def write_traffic(path: Path, **changes: object) -> Path:
    """A triangle whose direct link from a to b is too small at times."""
    rng = np.random.default_rng(2)
    matrices = np.zeros((80, 3, 3), dtype=np.float32)
    matrices[:, 0, 1] = 600 * rng.lognormal(0, 0.1, 80)
    ends = np.array([(0, 1), (0, 2), (2, 1), (1, 0), (2, 0), (1, 2)])
    arrays = {
        "tm_mbps": matrices,
        "nodes": np.array(["a", "b", "c"]),
        "edge_src": ends[:, 0],
        "edge_dst": ends[:, 1],
        "edge_cap_mbps": np.full(6, 1000.0),
        "edge_weight": np.ones(6),
    } | changes
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_the_score_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_traffic(tmp_path / "triangle.npz"), tmp_path / "score.json"

    status = main(["routes", "evaluate", "--data", str(data), "--json", str(out)])

    score = json.loads(out.read_text())
    assert status == 0
    assert "triangle.npz: mean 1.0" in capsys.readouterr().out
    assert score["steps"] == len(score["scores"]) == 16
    assert 1.0 <= score["mean"] <= 1.05
    assert score["cpu_ms"] > 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edge_cap_mbps": np.zeros(6)}, "capacity above zero"),
        ({"tm_mbps": np.zeros((80, 4, 4))}, "3 nodes"),
        ({"tm_mbps": np.zeros((3, 3))}, "not (T, N, N)"),
        ({"tm_mbps": np.zeros((0, 3, 3))}, "not (T, N, N)"),
        ({"edge_src": np.array([0, 0, 2, 1, 2, 9])}, "there are 3"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], reason: str
) -> None:
    data = write_traffic(tmp_path / "bad.npz", **changes)

    assert main(["routes", "evaluate", "--data", str(data)]) == 1
    assert reason in capsys.readouterr().err


def test_names_and_weights_may_be_left_out(tmp_path: Path) -> None:
    data = write_traffic(tmp_path / "triangle.npz", nodes=np.array([b"a", b"b", b"c"]))
    with np.load(data) as archive:
        kept = {name: archive[name] for name in archive if name not in {"nodes", "edge_weight"}}
    np.savez(tmp_path / "bare.npz", **kept)

    assert load(data)[0].names == ("a", "b", "c")
    topology, _ = load(tmp_path / "bare.npz")
    assert topology.names == ("0", "1", "2")
    assert topology.weights.tolist() == [1.0] * 6


@pytest.mark.parametrize("kind", ["text", "cut short", "damaged", "one array"])
def test_no_archive_is_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    whole = write_traffic(tmp_path / "whole.npz").read_bytes()
    array = io.BytesIO()
    np.save(array, np.ones(3))
    contents = {
        "text": b"not an archive",
        "cut short": whole[:3000],
        "damaged": whole[:2000] + bytes(100) + whole[2100:],
        "one array": array.getvalue(),
    }
    (tmp_path / "x.npz").write_bytes(contents[kind])

    assert main(["routes", "evaluate", "--data", str(tmp_path / "x.npz")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plan_from_a_record_is_shown_explained_and_questioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(write_traffic(tmp_path / "triangle.npz")), "--at", "40"]

    assert main(["routes", "plan", *data, "--json", str(tmp_path / "plan.json")]) == 0
    assert "a-c-b" in capsys.readouterr().out
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert 0.25 < plan["expected_utilisation"] < 0.45

    assert main(["routes", "explain", "a", "b", *data]) == 0
    assert "on the shortest way alone a-b would be" in capsys.readouterr().out

    assert main(["routes", "what-if", "--down", "a b", "--demand-factor", "0.5", *data]) == 0
    out = capsys.readouterr().out
    assert "100% a-c-b" in out
    assert "a-b " not in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["explain", "a", "x"], "no route from 'a' to 'x'"),
        (["what-if", "--down", "a z"], "no hop or node 'a z'"),
        (["what-if", "--objective", "fame"], "--objective is one of"),
        (["plan", "--at", "99"], "--at 99 is not a step"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    data = ["--data", str(write_traffic(tmp_path / "triangle.npz"))]

    assert main(["routes", *words, *data]) == 1
    assert reason in capsys.readouterr().err
