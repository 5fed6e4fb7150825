"""`qnx users` says who may use the API."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from qnx_hw.cli import main

FILE = """
[network]
name = "lab"
data_dir = "{folder}"

[nodes.alice]
listen = "127.0.0.1:8471"
"""


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.toml"
    path.write_text(FILE.format(folder=tmp_path / "data"))
    return path


def test_users_come_and_go(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = file.with_name("out.json")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert main(["users", "add", str(file), "ann", "--right", "admin", "--json", str(out)]) == 0

    assert [user["name"] for user in json.loads(out.read_text())] == ["ann"]
    assert "correct horse" not in out.read_text() + capsys.readouterr().out
    assert (file.parent / "data" / "console" / "access.sqlite").stat().st_mode & 0o077 == 0
    assert main(["users", "remove", str(file), "ann"]) == 1
    assert "last user" in capsys.readouterr().err


def test_nobody_is_told_as_such(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["users", "list", str(file)]) == 0
    assert "no users" in capsys.readouterr().out
    assert main(["users", "add", str(file)]) == 1
