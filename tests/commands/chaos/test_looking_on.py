"""Screens that look on are real programs; one that ends by itself, or has trouble, is told of."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from qnx_hw.commands.chaos.screens import looking_on
from qnx_hw.commands.ports import free_ports

pytestmark = pytest.mark.slow


def look(
    browser: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], dict[str, str]]:
    """Look at a node that is not there, with a browser of these lines, until it writes to `$SAID`
    or ends; returns what broke and what the screens printed."""
    said = folder / "said"
    os.mkfifo(said)
    monkeypatch.setenv("SAID", str(said))
    program = folder / "bin" / "chromium"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{browser}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (port,) = free_ports(1)
    broken: list[str] = []

    async def scene() -> None:
        async with (
            asyncio.timeout(300),
            looking_on(f"http://127.0.0.1:{port}", folder, broken) as screens,
        ):
            if "sleep" in browser:
                await asyncio.to_thread(said.read_bytes)
            else:
                await screens["browser"].wait()

    asyncio.run(scene())
    return broken, {path.stem: path.read_text() for path in folder.glob("*.log")}


def test_screens_that_stay_break_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, printed = look('echo "shows $*"; : > "$SAID"; exec sleep 600', tmp_path, monkeypatch)

    assert broken == []
    assert "http://127.0.0.1:" in printed["browser"]
    assert f"--user-data-dir={tmp_path}" in printed["browser"]


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        ("echo 'Uncaught TypeError'; : > $SAID; exec sleep 600", "had trouble; see browser.log"),
        ("exec echo gone", "the browser ended by itself; see browser.log"),
    ],
)
def test_a_screen_in_trouble_is_told_of(
    browser: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, _ = look(browser, tmp_path, monkeypatch)

    assert len(broken) == 1
    assert words in broken[0]
