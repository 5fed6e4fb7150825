"""`qnx send FILE --to NODE`: hand a file to the node here, which brings it there."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw.errors import ConfigError, QnxError

if TYPE_CHECKING:
    from qnx_hw.edge.parcels import Progress

PIECE_BYTES = 1 << 20
BAR = 30


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "example:\n  qnx send lab.toml measurement.h5 --to bob --node alice\n\n"
        "The node keeps the file, sealed, until the other node has all of it; Ctrl-C ends the "
        "watching,\nnot the sending."
    )
    parser.add_argument("network", type=Path, metavar="NETWORK", help="network file")
    parser.add_argument("file", type=Path, metavar="FILE", help="what to send")
    parser.add_argument("--to", required=True, metavar="NODE", help="where to")
    parser.add_argument("--node", metavar="NAME", help="the node that runs here")
    parser.add_argument("--no-wait", action="store_true", help="end when the node has the file")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what came of it")


def run(arguments: argparse.Namespace) -> int:
    """Send."""
    import msgspec

    from qnx_hw import config
    from qnx_hw.commands.door import at_the_door, edges_of
    from qnx_hw.edge.local import Reply
    from qnx_hw.edge.parcels import Progress

    others = [name for name in edges_of(config.load(arguments.network)) if name != arguments.node]
    if arguments.to not in others:
        raise ConfigError(
            f"--to: files go to {', '.join(others) or 'no node'} in {arguments.network}; "
            f"'{arguments.to}' is not one of them"
        )
    try:
        size, file = arguments.file.stat().st_size, arguments.file.open("rb")
    except OSError as error:
        raise QnxError(f"cannot read {arguments.file}: {error.strerror}") from error
    wishes = {"what": "send", "file": arguments.file.name, "size": size}
    with (
        file,
        at_the_door(arguments.network, arguments.node, destination=arguments.to, **wishes) as at,
    ):
        while piece := file.read(PIECE_BYTES):
            at.circuit.sendall(piece)
        name = at.answer(Reply).name
        progress = Progress(sent_bytes=0, size=size, state="waiting")
        while not arguments.no_wait and progress.state not in ("arrived", "failed"):
            before, progress = progress, at.answer(Progress)
            _show(progress, before)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if arguments.json is not None:
        result = {"name": name, **msgspec.to_builtins(progress)}
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    if progress.state == "failed":
        raise QnxError(f"{arguments.file} was not sent: {progress.message}")
    way = " → ".join(progress.route)
    print(f"{name}  {size:,} bytes  {progress.state}{'  ' + way if way else ''}")
    return 0


def _show(progress: Progress, before: Progress) -> None:
    """Draw a bar on a terminal; elsewhere say what it waits for, once each."""
    if not sys.stderr.isatty():
        if progress.message and progress.message != before.message:
            print(f"{progress.state}: {progress.message}", file=sys.stderr, flush=True)
        return
    part = progress.sent_bytes / progress.size if progress.size else 1.0
    bar = "#" * round(BAR * part)
    words = f"{progress.state} {' → '.join(progress.route)} {progress.message}"
    print(f"\r[{bar:<{BAR}}] {100 * part:5.1f} %  {words[:80]:<80}", end="", file=sys.stderr)
