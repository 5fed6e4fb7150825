"""The how-to's example of a new instrument works as a stranger would install it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from emulated import Inside, emulated

from qnx_hw.cli import main
from qnx_hw.instruments.conformance import (
    Outcome,
    Patience,
    Relay,
    Sabotage,
    Subject,
    run,
    run_drop,
    run_matrix,
)
from qnx_hw.instruments.discovery import Confidence, discover, known

EXAMPLE = Path(__file__).parents[1] / "examples" / "add_an_instrument"
PATIENCE = Patience(usual_s=20.0, sabotaged_s=0.1, grace_s=20.0, back_s=20.0)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the example where `pip install` would: its folder and its entry points on the path."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)


@pytest.mark.usefixtures("installed")
def test_it_conforms() -> None:
    with emulated("voa1") as place:
        subject = Subject(place.url, place.make, consent=True, patience=PATIENCE)
        identity, checks = run(subject)

    assert identity is not None
    assert (identity.model, identity.serial) == ("VOA-1", "00042")
    assert [check for check in checks if check.outcome is Outcome.FAIL] == []
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 12


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_it_survives_every_fault_and_comes_back() -> None:
    with emulated("voa1") as place, Relay(place.url) as relay:
        outside = Subject(relay.url, place.make, consent=True, patience=PATIENCE)
        checks = [*run_drop(outside, relay), *run_matrix(outside, relay)]
        inside = Subject(place.url, place.make, consent=True, patience=PATIENCE)
        checks += run_matrix(inside, Inside(place), (Sabotage.DEVICE_ERROR,))

    assert [check for check in checks if check.outcome is Outcome.FAIL] == []
    assert sum(check.outcome is Outcome.PASS for check in checks) >= 40


@pytest.mark.usefixtures("installed")
def test_the_commands_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    with emulated("voa1") as place:
        assert main(["check", "voa1", place.url, "--move"]) == 0
        (found,) = discover([], known(), addresses=[("voa1", place.url)], timeout_s=120.0)

    assert "VOA-1" in capsys.readouterr().out
    assert found.confidence is Confidence.ANSWERED


def test_it_is_short() -> None:
    lines = [line for name in ("driver", "emulator") for line in _code(f"voa1/{name}.py")]

    assert len(lines) < 150


def _code(name: str) -> list[str]:
    return (EXAMPLE / name).read_text().splitlines()
