"""What tests do with whole programs: run them, wait for a line, end them, fetch a key from them."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qnx_hw.cli import main


def started(*words: str) -> subprocess.Popen[str]:
    """Start `qnx WORDS`; who starts it ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "qnx_hw", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def program(*words: str, ends_kindly: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run `qnx WORDS` while the context lasts; kindly: it may end in good order first."""
    process = started(*words)
    try:
        yield process
    finally:
        if ends_kindly:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=120)
        process.kill()
        process.communicate()


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """Return the first line with these words."""
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if words in line:
            return line
    pytest.fail(f"ended without '{words}':\n{''.join(heard)}")


class Listener:
    """Hears all that a program says, also while nobody waits for a line of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self._is_over = False
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def line_with(self, words: str, timeout_s: float = 300.0, *, after: int = 0) -> str:
        """Return the first line with these words, but for the first `after` lines."""
        with self._more:
            self._more.wait_for(lambda: self._found(words, after) or self._is_over, timeout_s)
            if found := self._found(words, after):
                return found[0]
        pytest.fail(f"said no '{words}':\n{''.join(self.lines[-50:])}")

    def finish(self) -> str:
        """End the program as systemd does, and return all that it ever said."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(120)
        self._thread.join(120)
        assert status == 0, "".join(self.lines[-50:])
        return "".join(self.lines)

    def _found(self, words: str, after: int) -> list[str]:
        return [line for line in self.lines[after:] if words in line]

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._is_over = True
            self._more.notify_all()


def finish(process: subprocess.Popen[str]) -> str:
    """End a program as systemd does, and return what it had left to say."""
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=120)
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
