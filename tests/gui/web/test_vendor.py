"""Vendored files are what their list says."""

import hashlib
import re
from pathlib import Path

import gui.web

VENDOR = Path(gui.web.__file__).parent / "static" / "vendor"


def test_every_vendored_file_has_its_hash_and_licence() -> None:
    listed = dict(
        re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.M)
    )

    code = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}

    assert set(listed) == code
    for name, digest in listed.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
    assert list(VENDOR.glob("*LICENSE*"))
