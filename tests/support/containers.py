"""Key containers from two key managers, as files for the scripts in `examples/consumers`."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from key_sites import certified, served

SCRIPTS = Path(__file__).parents[2] / "examples" / "consumers"


def obstacle(programs: Sequence[str], *, needs_tun: bool = False) -> str:
    """Say why these programs cannot run in hosts of their own here; empty where they can."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} is not installed"
    if os.geteuid() != 0:
        return "needs root"
    if needs_tun and not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun"
    name = f"qnx-try-{secrets.token_hex(2)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "network namespaces are not allowed here"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


def fetch(folder: Path, number: int) -> list[tuple[Path, Path]]:
    """Return so many keys, each as the container of the master and that of the slave."""

    async def scenario() -> list[tuple[Path, Path]]:
        pairs = []
        async with asyncio.timeout(120), served(certified(folder / "pki"), folder) as sites:
            for at in range(number):
                given = await sites.enc("sae-a", "sae-b")
                fetched = await sites.dec("sae-b", "sae-a", *given.keys)
                assert (given.status, fetched.status) == (200, 200)
                pair = folder / f"{at}-a.json", folder / f"{at}-b.json"
                for path, answer in zip(pair, (given, fetched), strict=True):
                    path.write_bytes(answer.body)
                pairs.append(pair)
        return pairs

    return asyncio.run(scenario())


def run(*words: str | Path, timeout_s: float = 30.0) -> str:
    """Run a program to its end and return what it printed; its failure is the test's."""
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout
