"""`qnx replay FOLDER`: run a recording again through the same links and screens."""

from __future__ import annotations

import argparse
import asyncio
import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from qnx_hw import config, logs

SETTLED_S = 3.0
"""The last block is done when nothing changed for so long after the last tag."""

if TYPE_CHECKING:
    from qnx_hw.api.schema import LinkView
    from qnx_hw.node.recordings import StoredRecording


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx replay .qnx/demo/recordings/2026-11-23_143059_demo\n"
        "  qnx replay FOLDER --speed 2 --json out.json\n\n"
        "No instrument is touched. Its keys are made in a folder of their own and destroyed at the"
        " end."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a recording's folder")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        metavar="X",
        help="times real time; above 3 the links find little time to agree on blocks",
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the links' counts")
    parser.add_argument("--no-api", action="store_true", help="serve no HTTP API")


def run(arguments: argparse.Namespace) -> int:
    """Run the recording to its end."""
    from qnx_hw.commands.lifetime import run_async
    from qnx_hw.commands.ports import resolve
    from qnx_hw.commands.run import write_counts
    from qnx_hw.errors import ConfigError
    from qnx_hw.node.recordings import StoredRecording

    if not 0.01 <= arguments.speed <= 100.0:
        raise ConfigError(f"--speed {arguments.speed:g}: it is between 0.01 and 100")
    logs.configure(logging.ERROR)
    recording = StoredRecording.open(arguments.folder)
    with TemporaryDirectory(prefix="qnx-replay-") as kept:
        written = Path(kept) / "recorded.toml"
        written.write_text(recording.description.network_file, encoding="utf-8")
        file, _ = resolve(written, Path(kept) / "keys")
        links = run_async(_run(config.load(file), recording, arguments))
    if arguments.json is not None:
        write_counts(arguments.json, links)
    return 0


async def _run(
    network: config.NetworkFile, recording: StoredRecording, arguments: argparse.Namespace
) -> tuple[LinkView, ...]:
    from qnx_hw.commands.lifetime import told_to_stop, until
    from qnx_hw.commands.screen import Screen
    from qnx_hw.keys import initial
    from qnx_hw.node.host import Host
    from qnx_hw.node.replay import Pace, ReplayBank
    from qnx_hw.node.server import bind
    from qnx_hw.node.warming import warm_up

    screen = Screen()
    for name, link in network.links.items():
        initial.prepare(
            name, (network.folder_of(link.alice.node), network.folder_of(link.bob.node))
        )
    pace = Pace(arguments.speed)
    instruments = partial(ReplayBank, recording=recording, pace=pace)
    host = Host(network, recording.description.nodes, instruments)
    taken = None if arguments.no_api else bind(network.api.listen, or_free_port=True)
    if taken is not None:
        screen.say(f"API and dashboard: http://{taken.getsockname()[0]}:{taken.getsockname()[1]}")
    async with told_to_stop() as stop:
        await warm_up(screen.progress, network)
        async with host.running(taken):
            loop = asyncio.get_running_loop()
            seen, changed_s = host.hub.links(), loop.time()

            def show() -> bool:
                nonlocal seen, changed_s
                links = host.hub.links()
                screen.show(links)
                if [_made(link) for link in links] != [_made(link) for link in seen]:
                    seen, changed_s = links, loop.time()
                return pace.finished.is_set() and loop.time() - changed_s > SETTLED_S

            await until(stop, arguments.seconds, show)
            await host.rest()
            host.publish()
            screen.close()
            return host.hub.links()


def _made(link: LinkView) -> tuple[object, ...]:
    return link.phase, link.stage, link.pairs, link.blocks_done, link.blocks_aborted
