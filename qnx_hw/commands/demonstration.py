"""What `qnx demo` runs: a laboratory as a child, all nodes here, and a comparison of the keys."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw import config
from qnx_hw.api.schema import LinkView
from qnx_hw.commands.laboratory import Expected, Laboratory, laboratory, stop
from qnx_hw.commands.lifetime import settle_heap, told_to_stop, until
from qnx_hw.commands.ports import resolve
from qnx_hw.commands.same_key import is_same_key
from qnx_hw.commands.screen import Screen
from qnx_hw.keys import initial
from qnx_hw.node.server import bind
from qnx_hw.node.warming import warm_up
from qnx_hw.secret import Secret

if TYPE_CHECKING:
    from qnx_hw.node.host import Host


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for."""

    file: Path
    data_dir: Path | None
    seconds: float | None
    blocks: int | None
    desktop: bool


class LinkResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a link made during the demonstration."""

    secret_bits: int
    keys_equal: bool
    qber: float | None
    qber_expected: float | None
    chsh_s: float | None
    chsh_s_expected: float | None
    pairs: int
    sifted_bits: int
    leaked_bits: int
    blocks: int
    blocks_aborted: int
    seconds_to_first_key: float | None
    """From the moment the nodes ran, compilation not counted."""
    secret_rate_bps: float
    """Mean over the whole run."""
    message: str = ""


class Result(msgspec.Struct, frozen=True):
    """What the demonstration brought, per link."""

    links: dict[str, LinkResult]

    @property
    def is_good(self) -> bool:
        """Whether every link gave both parties the same key."""
        return bool(self.links) and all(
            link.keys_equal and link.secret_bits for link in self.links.values()
        )

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.links:
            return "the network file has no link, so there is no key"
        for name, link in self.links.items():
            if not link.secret_bits:
                words = f": {link.message}" if link.message else ""
                return f"{name}: no key was made in this time{words}"
            if not link.keys_equal:
                return f"{name}: the two parties do not hold the same key"
        bits = sum(link.secret_bits for link in self.links.values())
        return f"Both parties hold the same {bits:,} secret bits."

    def write(self, path: Path) -> None:
        """Write the result as JSON: the first link's numbers, and all links' below `links`."""
        first = next(iter(self.links.values()), None)
        table = {**(msgspec.to_builtins(first) if first else {}), "links": self.links}
        path.write_bytes(msgspec.json.format(msgspec.json.encode(table)) + b"\n")


async def demonstrate(settings: Settings) -> Result:
    """Run the demonstration and compare what both parties hold."""
    screen = Screen()
    file, ports = resolve(settings.file, settings.data_dir)
    if ports:
        screen.say(f"Some ports of {settings.file} are taken; all were moved, see {file}.")
    network = config.load(file)
    for name, link in network.links.items():
        initial.prepare(
            name, (network.folder_of(link.alice.node), network.folder_of(link.bob.node))
        )
    async with told_to_stop() as told, asyncio.TaskGroup() as tasks:
        # The laboratory starts, and compiles what it needs, on another core.
        readying = tasks.create_task(_ready(screen, network, file))
        async with laboratory(file) as lab:
            screen.say(f"Disturb it: qnx sim {lab.opening.control} --tell help")
            guard = tasks.create_task(lab.watch())
            watching = _Watch(screen, settings.blocks)
            await until(told, None, readying.done)
            if not told.is_set():
                await _run(await readying, watching, settings, network, told)
            guard.cancel()
        readying.cancel()
        screen.close()
        return Result({name: watching.result(name, lab) for name in network.links})


async def _ready(screen: Screen, network: config.NetworkFile, file: Path) -> Host:
    """Load and compile what nodes are made of, which takes longer than all else here."""
    host = await asyncio.to_thread(_load, network, file)
    await warm_up(screen.progress, network)
    return host


def _load(network: config.NetworkFile, file: Path) -> Host:
    from qnx_hw.node.host import Host

    return Host(network, list(network.nodes), file=file)


async def _run(
    host: Host,
    watching: _Watch,
    settings: Settings,
    network: config.NetworkFile,
    told: asyncio.Event,
) -> None:
    taken = bind(network.api.listen)
    url = f"http://{network.api.listen}"
    async with host.running(taken), _desktop(url if settings.desktop else None):
        settle_heap()
        watching.start(host, url)
        await until(told, settings.seconds, watching.look)
        await host.rest()
        watching.finish()


class _Watch:
    """Follows the links, draws them, and sums up."""

    def __init__(self, screen: Screen, blocks: int | None) -> None:
        self._screen = screen
        self._blocks = blocks
        self._seen = 0
        self._started_s = 0.0
        self._elapsed_s = 0.0
        self._first_key_s: dict[str, float] = {}
        self._views: dict[str, LinkView] = {}
        self._equal: dict[str, bool] = {}

    def start(self, host: Host, url: str) -> None:
        """Begin to measure time."""
        self._host = host
        self._started_s = asyncio.get_running_loop().time()
        self._screen.say(f"Dashboard: {url}   (Ctrl-C ends the demo)")

    def look(self) -> bool:
        """Draw what is new; whether there is as much key as was asked for."""
        self._elapsed_s = asyncio.get_running_loop().time() - self._started_s
        changes = self._host.hub.since(self._seen)
        self._seen = changes.number
        for event in changes.events:
            self._screen.tell(event)
        links = self._host.hub.links()
        for link in links:
            if link.blocks_done and link.name not in self._first_key_s:
                self._first_key_s[link.name] = self._elapsed_s
            if link.message or link.qber.value is not None:
                self._views[link.name] = link
        self._screen.show(links)
        return self._blocks is not None and all(link.blocks_done >= self._blocks for link in links)

    def finish(self) -> None:
        """Take the last numbers and compare the stores, which close after this."""
        self._host.publish()
        salt = Secret(secrets.token_bytes(32))
        for link in self._host.hub.links():
            before = self._views.get(link.name, link)
            self._views[link.name] = msgspec.structs.replace(
                link,
                qber=before.qber,
                chsh_s=before.chsh_s,
                message=before.message,
                blocks_aborted=before.blocks_aborted,  # not the one that stopping cut short
            )
            ours, theirs = (
                self._host.nodes[node].store.digests(link.name, salt)
                for node in (link.alice, link.bob)
            )
            self._equal[link.name] = is_same_key(ours, theirs)

    def result(self, name: str, lab: Laboratory) -> LinkResult:
        """Sum up a link."""
        view = self._views.get(name)
        expected = lab.opening.expected.get(name, Expected())
        return LinkResult(
            secret_bits=view.secret_bits if view else 0,
            keys_equal=self._equal.get(name, False),
            qber=view.qber.value if view else None,
            qber_expected=expected.qber,
            chsh_s=view.chsh_s.value if view else None,
            chsh_s_expected=expected.chsh_s,
            pairs=view.pairs if view else 0,
            sifted_bits=view.sifted_bits if view else 0,
            leaked_bits=view.leaked_bits if view else 0,
            blocks=view.blocks_done if view else 0,
            blocks_aborted=view.blocks_aborted if view else 0,
            seconds_to_first_key=self._first_key_s.get(name),
            secret_rate_bps=view.secret_bits / self._elapsed_s if view and self._elapsed_s else 0.0,
            message=view.message if view else "",
        )


@asynccontextmanager
async def _desktop(url: str | None) -> AsyncIterator[None]:
    """Show the desktop app as a child while the context lasts; whether it lives changes nothing."""
    if url is None:
        yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "qnx_hw", "desktop", "--url", url),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        await stop(process)
