"""A network's nodes as programs that can be killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

from qnx_hw.commands.laboratory import stop

STOP_DEADLINE_S = 30.0

MOST_LAST_WORDS = 16 << 10
"""Enough for where all tasks and threads of a node stand."""


class _Printed:
    """Keeps what a program prints, also while it cannot write files itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from, self.pipe = os.pipe()
        self._copying = Thread(target=self._copy, name=f"copying {path.name}", daemon=True)
        self._copying.start()

    def end(self) -> bytes:
        """Return all that was printed; the programs have ended."""
        os.close(self.pipe)
        self._copying.join(STOP_DEADLINE_S)
        return self._path.read_bytes()

    def _copy(self) -> None:
        with open(self._from, "rb", buffering=0) as source, self._path.open("wb", 0) as kept:
            while piece := source.read(1 << 16):
                kept.write(piece)


class NodeProcess:
    """`qnx run FILE --node NAME`; what it prints goes to a file."""

    def __init__(self, name: str, file: Path, printed: Path) -> None:
        self.name = name
        self._file = file
        self._printed = _Printed(printed)
        self._process: asyncio.subprocess.Process | None = None
        self.last_words = ""
        """The end of what it printed, once it has ended."""

    async def start(self) -> None:
        """Start it, also again."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "qnx_hw", "run", str(self._file), "--node", self.name),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._printed.pipe,
            stderr=self._printed.pipe,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.returncode is not None

    async def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Let every write to a file fail."""
        self._limit_files(1)

    def free_disk(self) -> None:
        """Let files grow again."""
        self._limit_files(resource.RLIM_INFINITY)

    async def finish(self) -> str:
        """End it in good order; returns what was wrong about it, or nothing."""
        assert self._process is not None
        self.thaw()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await self._process.wait()
        was_running = self._process.returncode is None
        await stop(self._process)
        printed = self._printed.end()
        self.last_words = printed[-MOST_LAST_WORDS:].decode(errors="replace")
        if was_running:
            return f"it did not end within {STOP_DEADLINE_S:g} s"
        if self._process.returncode:
            return f"it ended with status {self._process.returncode}"
        return "it printed a traceback" if b"Traceback" in printed else ""

    def _limit_files(self, most_bytes: int) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (most_bytes, hard))

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
