"""Vendored files are what their list says."""

import hashlib
import re
from pathlib import Path

import pytest
import served_api

import gui.web

OURS = Path(gui.web.__file__).parent / "static" / "vendor"
FOR_TESTS = Path(served_api.__file__).parent / "vendor"


@pytest.mark.parametrize("folder", [OURS, FOR_TESTS], ids=["pages", "tests"])
def test_every_vendored_file_has_its_hash_and_licence(folder: Path) -> None:
    table = (folder / "README.md").read_text()
    listed = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", table, re.M))

    code = {path.name for path in folder.iterdir() if path.suffix in {".js", ".css"}}

    assert set(listed) == code
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert list(folder.glob("*LICENSE*"))
