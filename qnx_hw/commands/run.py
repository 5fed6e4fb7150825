"""`qnx run FILE`: run nodes of a network file until told to stop."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw import config, logs
from qnx_hw.instruments.values import InstrumentState

if TYPE_CHECKING:
    from qnx_hw.api.schema import LinkView, NodeView


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx run lab.toml                all nodes in one process\n"
        "  qnx run lab.toml --node alice   one node on its own machine\n"
        "  qnx run lab.toml --record       also record the time tags"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="network file")
    parser.add_argument("--node", action="append", metavar="NAME", help="only this node; repeat")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long")
    parser.add_argument("--blocks", type=int, metavar="N", help="end after so many blocks of key")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the links' counts at the end"
    )
    parser.add_argument("--record", action="store_true", help="record the taggers from the start")
    parser.add_argument("--no-api", action="store_true", help="serve no HTTP API")
    parser.add_argument("--verbose", action="store_true", help="log details")


def run(arguments: argparse.Namespace) -> int:
    """Run the nodes."""
    from qnx_hw.commands.lifetime import run_async

    logs.configure(logging.DEBUG if arguments.verbose else logging.INFO)
    network = config.load(arguments.file)
    links = run_async(_run(network, arguments))
    if arguments.json is not None:
        write_counts(arguments.json, links)
    return 0


async def _run(network: config.NetworkFile, arguments: argparse.Namespace) -> tuple[LinkView, ...]:
    from qnx_hw.api.schema import NodeView
    from qnx_hw.commands.lifetime import settle_heap, told_to_stop, until
    from qnx_hw.commands.screen import Screen
    from qnx_hw.node.ends import ends_of
    from qnx_hw.node.host import Host
    from qnx_hw.node.server import bind
    from qnx_hw.node.warming import warm_up

    screen = Screen()
    names = arguments.node or list(network.nodes)
    host = Host(network, names, file=arguments.file)
    taken = None
    if not arguments.no_api:
        alone = network.nodes[names[0]].api if len(names) == 1 else None
        # Of several processes on one machine, the first serves the address in the file.
        taken = bind(alone or network.api.listen, or_free_port=arguments.node is not None)
        scheme = "https" if network.api.certificate else "http"
        screen.say(
            f"API and dashboard: {scheme}://{taken.getsockname()[0]}:{taken.getsockname()[1]}"
        )
    async with told_to_stop() as stop:
        if any(ends_of(network, name) for name in names):  # without links nothing counts tags
            await warm_up(screen.progress, network)
        async with host.running(taken):
            seen, is_advised = 0, False

            def show() -> bool:
                nonlocal seen, is_advised
                if not is_advised and is_without_laboratory(host.hub.latest(NodeView)):
                    is_advised = True
                    screen.say(
                        f"the simulated laboratory of {arguments.file} does not run: start it "
                        f"with `qnx sim {arguments.file}`, or all with `qnx demo {arguments.file}`"
                    )
                changes = host.hub.since(seen)
                seen = changes.number
                for event in changes.events:
                    screen.tell(event)
                screen.show(host.hub.links())
                return _is_enough(host.hub.links(), arguments.blocks)

            settle_heap()
            if arguments.record:
                await host.recordings.start_recording()
            await until(stop, arguments.seconds, show)
            await host.rest()
            host.publish()
            screen.close()
            return host.hub.links()


def _is_enough(links: tuple[LinkView, ...], blocks: int | None) -> bool:
    return blocks is not None and all(link.blocks_done >= blocks for link in links)


def is_without_laboratory(nodes: Iterable[NodeView]) -> bool:
    """Whether there are simulated instruments, and none of them could be reached."""
    simulated = [each for node in nodes for each in node.instruments if each.is_simulated]
    return bool(simulated) and all(
        each.state == InstrumentState.CONNECTING and each.error for each in simulated
    )


def write_counts(path: Path, links: tuple[LinkView, ...]) -> None:
    """Write what each link made, as JSON."""
    import msgspec

    kept = ("blocks_done", "blocks_aborted", "secret_bits", "sifted_bits", "leaked_bits", "pairs")
    counts = {link.name: {name: getattr(link, name) for name in kept} for link in links}
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"links": counts})) + b"\n")
