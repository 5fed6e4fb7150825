"""`qnx stream NAME`: JSON lines in at the source, out at the destination."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

PIECE_BYTES = 64 << 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  sensors | qnx stream lab.toml telemetry --node alice     at the source\n"
        "  qnx stream lab.toml telemetry --node bob --out           at the destination\n\n"
        "[streams.telemetry] in the network file says what happens in between."
    )
    parser.add_argument("network", type=Path, metavar="NETWORK", help="network file")
    parser.add_argument("name", metavar="NAME", help="the stream")
    parser.add_argument("--node", metavar="NODE", help="the node that runs here")
    parser.add_argument("--out", action="store_true", help="write lines that arrive")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was saved")


def run(arguments: argparse.Namespace) -> int:
    """Feed or read."""
    return _read(arguments) if arguments.out else _feed(arguments)


def _feed(arguments: argparse.Namespace) -> int:
    import socket

    import msgspec

    from qnx_hw.commands.door import at_the_door
    from qnx_hw.edge.local import Reply

    with at_the_door(arguments.network, arguments.node, what="feed", name=arguments.name) as at:
        at.answer(Reply)
        at.circuit.settimeout(None)  # a source may be silent for as long as it likes
        while piece := os.read(sys.stdin.fileno(), PIECE_BYTES):
            at.circuit.sendall(piece)
        at.circuit.shutdown(socket.SHUT_WR)
        reply = at.answer(Reply)
    saved = 1 - reply.bytes_out / reply.bytes_in if reply.bytes_in else 0.0
    print(
        f"{reply.bytes_in:,} bytes in, {reply.bytes_out:,} sent: {100 * saved:.1f} % saved"
        + (f"; {reply.refused_lines} lines were no JSON objects" if reply.refused_lines else ""),
        file=sys.stderr,
    )
    if arguments.json is not None:
        result = {
            "bytes_in": reply.bytes_in,
            "bytes_out": reply.bytes_out,
            "refused_lines": reply.refused_lines,
        }
        arguments.json.write_bytes(msgspec.json.encode(result) + b"\n")
    return 0


def _read(arguments: argparse.Namespace) -> int:
    from qnx_hw.commands.door import at_the_door
    from qnx_hw.edge.local import Reply

    with at_the_door(arguments.network, arguments.node, what="read", name=arguments.name) as at:
        at.answer(Reply)
        at.circuit.settimeout(None)
        while line := at.answers.readline():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    return 0
