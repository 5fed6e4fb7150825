"""What tests do with whole programs: wait for a line, end them, fetch a key from them."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from pathlib import Path

import pytest

from qnx_hw.cli import main


def line_with(process: subprocess.Popen[str], words: str, heard: list[str] | None = None) -> str:
    """Return the first line with these words; what came before goes into `heard` as well."""
    assert process.stdout is not None
    heard = [] if heard is None else heard
    for line in process.stdout:
        heard.append(line)
        if words in line:
            return line
    pytest.fail(f"ended without '{words}':\n{''.join(heard)}")


def finish(process: subprocess.Popen[str]) -> str:
    """End a program as systemd does, and return what it had left to say."""
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0, printed
    return printed


def fetch_a_key(file: Path, folder: Path) -> list[bytes]:
    """Get a key at one node and fetch it at the other, as applications do; return it."""
    saes = ("sae-bob", "sae-alice")  # the first block is Bob's to allocate, the second Alice's
    for master, slave in (saes, saes[::-1]):
        given, fetched = folder / f"{master}.json", folder / f"{slave}.json"
        get = ["keys", "get", str(file), "--as", master, "--with", slave, "--out", str(given)]
        if main(get) == 0:
            (entry,) = json.loads(given.read_text())["keys"]
            dec = ["keys", "dec", str(file), "--as", slave, "--with", master]
            assert main([*dec, entry["key_ID"], "--out", str(fetched)]) == 0
            assert given.read_text() == fetched.read_text()
            return [base64.b64decode(entry["key"])]
    pytest.fail("neither node has a key to give")
