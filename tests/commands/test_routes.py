"""`qnx routes evaluate` on a traffic file made here."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fake_node import sample_snapshot
from served_api import Site, served

from qnx_hw.api.traffic import PlanView
from qnx_hw.cli import main
from qnx_hw.commands.traffic_file import read
from qnx_hw.errors import ConfigError


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
    np.savez(path, **arrays)
    return path


def test_the_score_is_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = write_traffic(tmp_path / "triangle.npz"), tmp_path / "score.json"

    status = main(["routes", "evaluate", "--data", str(data), "--json", str(out)])

    score = json.loads(out.read_text())
    assert status == 0
    assert "triangle.npz: mean 1.0" in capsys.readouterr().out
    assert score["steps"] == len(score["scores"]) == 40
    assert 1.0 <= score["mean"] <= 1.05
    assert score["cpu_ms"] > 0


ENDS = np.array([(0, 1), (0, 2), (2, 1), (1, 0), (2, 0), (1, 2)])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"edge_cap_mbps": np.array([1, 1, np.nan, 1, 1, 1])}, "edge_cap_mbps[2] = nan"),
        ({"edge_cap_mbps": np.array([1, 1, 1, -5.0, 1, 1])}, "edge_cap_mbps[3] = -5.0"),
        ({"edge_cap_mbps": np.ones(5)}, "edge_cap_mbps has the shape (5,), edge_src (6,)"),
        ({"edge_weight": np.ones(7)}, "edge_weight (7,)"),
        ({"tm_mbps": np.zeros((80, 4, 4))}, "nodes has 3 names for 4 nodes"),
        ({"tm_mbps": np.zeros((3, 3))}, "not (T, N, N)"),
        ({"tm_mbps": np.zeros((0, 3, 3))}, "not (T, N, N)"),
        ({"tm_mbps": np.zeros((80, 3, 3), complex)}, "tm_mbps holds complex128, not numbers"),
        ({"edge_src": np.array([0, 0, 2, 1, 2, 9])}, "edge_src[5] = 9 is no node: there are 3"),
        ({"edge_dst": ENDS[:, 1] + 0.5}, "edge_dst[0] = 1.5 is no node"),
        ({"edge_src": np.array(list("abcxab"))}, "edge_src[3] = x is not among nodes"),
        ({"nodes": np.array(["a", "b", "a"])}, "the name 'a' more than once"),
        ({"t_unix": np.arange(79)}, "t_unix has the shape (79,) for 80 matrices"),
        ({"t_unix": np.array([0.0, np.nan] * 40)}, "t_unix[1] = nan is no time"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object], reason: str
) -> None:
    data = write_traffic(tmp_path / "bad.npz", **changes)

    assert main(["routes", "evaluate", "--data", str(data)]) == 1
    said = capsys.readouterr().err
    assert reason in said
    assert str(data) in said
    assert said.count("\n") == 1


def test_a_file_with_other_names_is_told_what_is_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", traffic=np.ones((3, 2, 2)))

    with pytest.raises(
        ConfigError, match=r"has no tm_mbps.*it holds traffic, and .* needs tm_mbps"
    ):
        read(tmp_path / "other.npz")


@pytest.mark.parametrize("kind", ["float32", "int16", "uint8", "bool"])
def test_any_kind_of_number_will_do(tmp_path: Path, kind: str) -> None:
    rising = np.arange(80)[:, None, None] * np.ones((3, 3)) % 100
    data = write_traffic(
        tmp_path / "kinds.npz",
        tm_mbps=rising.astype(kind),
        edge_src=ENDS[:, 0].astype(np.float32),
        edge_cap_mbps=np.full(6, 100, dtype=np.uint8),
    )

    assert main(["routes", "evaluate", "--data", str(data), "--first", "78"]) == 0
    assert np.array_equal(read(data).matrices, rising.astype(kind))


def test_links_may_end_at_names_and_archives_be_compressed(tmp_path: Path) -> None:
    names = np.array(["x", "y", "z"])
    data = write_traffic(
        tmp_path / "named.npz",
        nodes=names.astype(bytes),
        edge_src=names[ENDS[:, 0]],
        edge_dst=names[ENDS[:, 1]].astype(bytes),
    )
    with np.load(data) as archive:
        np.savez_compressed(tmp_path / "pressed.npz", **archive)

    topology = read(tmp_path / "pressed.npz").topology

    assert topology.names == ("x", "y", "z")
    assert topology.sources.tolist() == ENDS[:, 0].tolist()
    assert topology.targets.tolist() == ENDS[:, 1].tolist()


def test_what_is_odd_is_set_right_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrices = np.arange(4.0)[:, None, None] * np.ones((3, 3))
    matrices[2, 0, 1] = np.nan
    data = write_traffic(
        tmp_path / "odd.npz",
        tm_mbps=matrices,
        t_unix=np.array([30, 10, 20, 10]),
        edge_cap_mbps=np.array([5.0, 5, 5, 5, 5, 0]),
        edge_weight=np.array([1.0, 1, 0, 1, 1, 1]),
        nodes=np.array(["a", None, "c"]),
    )

    record = read(data)
    assert main(["routes", "evaluate", "--data", str(data)]) == 0

    said = capsys.readouterr().err
    assert record.matrices[:, 0, 2].tolist() == [1, 3, 2, 0]
    assert record.topology.link_count == 5
    assert record.topology.weights.tolist() == [1.0] * 5
    for words in (
        "tm_mbps has 1 entries",
        "t_unix does not grow: steps are taken in its order, 1 with",
        "left out: 1-2",
        "edge_weight is not above zero everywhere",
        "nodes is no plain array",
    ):
        assert words in said


def test_links_given_one_way_only_are_named_as_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = {name: np.array(ends) for name, ends in (("edge_src", [0, 1]), ("edge_dst", [1, 2]))}
    data = write_traffic(
        tmp_path / "half.npz", edge_cap_mbps=np.ones(2), edge_weight=np.ones(2), **half
    )

    assert main(["routes", "evaluate", "--data", str(data)]) == 0
    assert "3 of 6 pairs have no way" in capsys.readouterr().err


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
    assert "if 'a b' were down and demand were 0.5 times what is expected (nothing is" in out
    assert "100% a-c-b" in out
    assert "a-b " not in out


def test_the_audit_puts_what_came_beside_what_was_expected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit.json"
    plan = PlanView(revision=3, time_s=1.78e9, objective="fair", routes=())
    with served(Site(snapshot=sample_snapshot(plans=(plan,)))) as api:
        words = ["routes", "audit", "--api", api.url, "--last", "2", "--json", str(out)]
        assert main(words) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "goodput" in lines[0]
    assert lines[1].split()[1:] == ["18", "/", "18"]
    assert lines[2].split()[1:] == ["19", "/", "-"]
    assert "alice bob" not in out.read_text()
    assert json.loads(out.read_text())[0]["name"] == "plan: goodput"


def test_a_network_file_names_the_node_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lab.toml"
    plan = PlanView(revision=7, time_s=1.78e9, objective="fair", routes=())
    with served(Site(snapshot=sample_snapshot(plans=(plan,)))) as api:
        address = api.url.removeprefix("http://")
        nodes = '[network]\nname = "lab"\n[nodes.a]\nlisten = "127.0.0.1:8471"\n'
        file.write_text(f'{nodes}[api]\nlisten = "{address}"\n')
        assert main(["routes", "plan", "--url", str(file)]) == 0
    assert "revision 7" in capsys.readouterr().out

    with served(Site(snapshot=sample_snapshot(plans=()))) as api:
        assert main(["routes", "plan", "--url", api.url]) == 1
    assert "has made no plan yet" in capsys.readouterr().err

    assert main(["routes", "plan", "--url", str(file)]) == 1
    assert "start it with `qnx run FILE`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["explain", "a", "x"], "no route from 'a' to 'x'"),
        (["what-if", "--down", "a z"], "no hop or node 'a z'"),
        (["what-if", "--objective", "fame"], "can aim at"),
        (["plan", "--at", "99"], "--at 99 is not a step"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    data = ["--data", str(write_traffic(tmp_path / "triangle.npz"))]

    assert main(["routes", *words, *data]) == 1
    assert reason in capsys.readouterr().err
