"""`qnx pki bus` leaves a folder from which a nats-server starts and every node joins it."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
import tomli_w
from nats_core import NatsCore

from qnx_hw.bus.certificates import context
from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.cli import main

DEMO = Path(__file__).parents[2] / "examples" / "demo.toml"


def network(tmp_path: Path, **bus: object) -> tuple[Path, Path]:
    """Write the example with a bus; returns the file and the bus' folder."""
    file, folder = tmp_path / "network.toml", tmp_path / "bus"
    table = tomllib.loads(DEMO.read_text())
    table["bus"] = {"servers": ["tls://core.lab:4333"], "certificates": str(folder), **bus}
    file.write_text(tomli_w.dumps(table))
    return file, folder


def test_what_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = network(tmp_path)
    assert main(["pki", "bus", str(file), "--store", "/srv/core"]) == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "bob.pem").unlink()
    capsys.readouterr()

    assert main(["pki", "bus", str(file), "--store", "/srv/core"]) == 0

    again = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in again if again[name] != first[name]} == {"bob.pem", "bob.key"}
    assert f"made {folder / 'bob.pem'}\n" in capsys.readouterr().out
    written = again["core.conf"].decode()
    assert '"0.0.0.0:4333"' in written
    assert '"/etc/qnx/server.pem"' in written
    assert '"/srv/core"' in written
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*.key"))


def test_a_node_joins_with_what_was_made(tmp_path: Path) -> None:
    core = NatsCore(tmp_path / "bus", ("alice",))
    file, folder = network(tmp_path, servers=[core.url])
    for made in ("server", "alice"):
        (folder / f"{made}.pem").unlink()
    assert main(["pki", "bus", str(file), "--files", str(folder), "--store", str(folder)]) == 0

    async def join() -> None:
        up = asyncio.Event()
        async with (
            asyncio.timeout(60),
            NatsBus.open(
                *("alice", [core.url], context(folder, "alice")),
                lambda is_up, _: up.set() if is_up else None,
            ),
        ):
            await up.wait()

    core.start()
    try:
        asyncio.run(join())
    finally:
        core.stop()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"servers": ["core.lab:4222"]}, "tls://HOST:PORT"),
        ({"certificates": "broken"}, "cannot read the bus' authority"),
    ],
)
def test_what_cannot_be_made_is_said(
    changes: dict[str, object],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "authority.pem").write_text("no certificate")
    file, _ = network(tmp_path, **changes)

    assert main(["pki", "bus", str(file)]) == 1
    assert words in capsys.readouterr().err
