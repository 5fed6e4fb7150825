"""The simulated laboratory as a child process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from qnx_hw.errors import UNREADABLE, QnxError

START_DEADLINE_S = 90.0
STOP_DEADLINE_S = 0.6


class Expected(msgspec.Struct, frozen=True):
    """What the physics predicts for a link."""

    qber: float | None = None
    chsh_s: float | None = None


class Opening(msgspec.Struct, frozen=True):
    """What the laboratory says first."""

    endpoints: Mapping[str, tuple[str, ...]] = {}
    control: str = ""
    """Where the bench takes commands that disturb it."""
    expected: Mapping[str, Expected] = {}


class Laboratory:
    """A running `qnx sim`."""

    def __init__(self, process: asyncio.subprocess.Process, opening: Opening) -> None:
        self._process = process
        self.opening = opening

    async def watch(self) -> None:
        """Raise when the laboratory ends by itself."""
        status = await self._process.wait()
        raise QnxError(f"the simulated laboratory ended with status {status}")


@asynccontextmanager
async def laboratory(file: Path) -> AsyncIterator[Laboratory]:
    """Run `qnx sim FILE` in a process group of its own while the context lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "qnx_hw", "sim", str(file)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Laboratory(process, await _opening(process))
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a child and its children: kindly first, then surely."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await process.wait()
        except TimeoutError:
            _kill(process)
            await process.wait()


async def _opening(process: asyncio.subprocess.Process) -> Opening:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_DEADLINE_S):
            line = await process.stdout.readline()
        return msgspec.json.decode(line, type=Opening)
    except TimeoutError as error:
        raise QnxError(
            f"the simulated laboratory did not start within {START_DEADLINE_S:g} s"
        ) from error
    except (ValueError, *UNREADABLE) as error:
        raise QnxError("the simulated laboratory did not start; see above") from error


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
