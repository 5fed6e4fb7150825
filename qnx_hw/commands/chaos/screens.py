"""The screens that look on: a desktop without a display, and a browser where one is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from qnx_hw.commands.laboratory import stop

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BAD_WORDS = (b"Traceback", b"Uncaught")
"""What a screen prints, or its scripts, when it did not know what to do."""


@asynccontextmanager
async def looking_on(
    url: str, folder: Path, broken: list[str]
) -> AsyncIterator[dict[str, asyncio.subprocess.Process]]:
    """Keep screens open on a node while the context lasts; what they did wrong goes to `broken`.

    Yields them by name.
    """
    # No layout of the user's own desktop is read or written.
    own = {"QT_QPA_PLATFORM": "offscreen", "XDG_CONFIG_HOME": str(folder / "desktop")}
    desktop = [sys.executable, "-m", "qnx_hw", "desktop", "--url", url]
    async with AsyncExitStack() as stack:
        screens = {
            "desktop": await stack.enter_async_context(
                _open("desktop", desktop, folder, broken, own)
            )
        }
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is not None:
            command = [
                *(browser, "--headless=new", "--no-sandbox", "--disable-gpu"),
                *("--remote-debugging-port=0", "--enable-logging=stderr", "--no-first-run"),
                *(f"--user-data-dir={folder / 'browser'}", url),
            ]
            screens["browser"] = await stack.enter_async_context(
                _open("browser", command, folder, broken, {})
            )
        yield screens


@asynccontextmanager
async def _open(
    name: str, command: Sequence[str], folder: Path, broken: list[str], own: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    printed = folder / f"{name}.log"
    with printed.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **own},
        )
        try:
            yield process
        finally:
            has_ended = process.returncode is not None
            await stop(process)
    if has_ended:
        broken.append(f"the {name} ended by itself; see {printed.name}")
    elif any(words in printed.read_bytes() for words in BAD_WORDS):
        broken.append(f"the {name} had trouble; see {printed.name}")
