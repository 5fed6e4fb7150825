"""`qnx tunnel`: show the tunnels of a running node, or use one through this command's own pipes."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qnx_hw.api.traffic import TunnelView
    from qnx_hw.commands.door import Caller

PIECE_BYTES = 64 << 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx tunnel lab.toml                          how all tunnels are\n"
        "  qnx tunnel lab.toml web --stdio --node alice  standard input and output through 'web'\n"
        "  ssh -o ProxyCommand='qnx tunnel lab.toml shell --stdio --node alice' user@bob\n\n"
        "`qnx run` listens for the tunnels of the network file ([tunnels.NAME]) by itself."
    )
    parser.add_argument("network", type=Path, metavar="NETWORK", help="network file")
    parser.add_argument("name", nargs="?", metavar="NAME", help="one tunnel")
    parser.add_argument("--node", metavar="NODE", help="the node that runs here")
    parser.add_argument("--stdio", action="store_true", help="carry standard input and output")
    parser.add_argument("--url", metavar="URL", help="the node's API; from the file if left out")
    parser.add_argument("--token", default="", help="an API token, where the node has users")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the tunnels' state")


def run(arguments: argparse.Namespace) -> int:
    """Show or carry."""
    from qnx_hw.errors import ConfigError

    if not arguments.stdio:
        return _show(arguments)
    if arguments.name is None:
        raise ConfigError("say which tunnel: qnx tunnel NETWORK NAME --stdio")
    return _carry(arguments)


def _show(arguments: argparse.Namespace) -> int:
    import msgspec

    from qnx_hw import config
    from qnx_hw.api.client import NodeClient
    from qnx_hw.commands.access import client_of
    from qnx_hw.errors import ConfigError

    network = config.load(arguments.network)
    if arguments.url is not None:
        client = NodeClient(arguments.url, token=arguments.token)
    else:
        client = client_of(network, arguments.node, token=arguments.token)
    shown = client.state().tunnels
    tunnels = [tunnel for tunnel in shown if arguments.name in (None, tunnel.name)]
    if arguments.name is not None and not tunnels:
        known = ", ".join(tunnel.name for tunnel in shown) or "none"
        raise ConfigError(f"the node shows no tunnel '{arguments.name}'; it shows {known}")
    for tunnel in tunnels:
        print(_line(tunnel))
    if not tunnels:
        print("no tunnel begins at the nodes of this process")
    if arguments.json is not None:
        octets = msgspec.json.format(msgspec.json.encode({"tunnels": tunnels}))
        arguments.json.write_bytes(octets + b"\n")
    return 0


def _line(tunnel: TunnelView) -> str:
    way = " → ".join(tunnel.route) or f"{tunnel.source} … {tunnel.destination}"
    rtt = "" if tunnel.rtt_s is None else f"  {1e3 * tunnel.rtt_s:.1f} ms"
    return (
        f"{tunnel.name:16} {tunnel.state.value:9} {way}  {tunnel.mode}  policy "
        f"{tunnel.policy.value}  {tunnel.connections} open  {tunnel.bytes_in:,} in "
        f"{tunnel.bytes_out:,} out  {tunnel.rate_bps / 1e6:.2f} Mbit/s  key {tunnel.epoch} at "
        f"{tunnel.key_draw_bps:.1f} bit/s  refused {tunnel.failures}{rtt}"
        f"{'  ' + tunnel.message if tunnel.message else ''}"
    )


def _carry(arguments: argparse.Namespace) -> int:
    from qnx_hw.commands.door import at_the_door
    from qnx_hw.edge.local import PIECE, Reply

    with at_the_door(arguments.network, arguments.node, what="tunnel", name=arguments.name) as at:
        at.answer(Reply)
        at.circuit.settimeout(None)
        threading.Thread(target=_upload, args=(at,), daemon=True).start()
        while size := PIECE.unpack(at.octets(PIECE.size))[0]:
            sys.stdout.buffer.write(at.octets(size))
            sys.stdout.buffer.flush()
        at.answer(Reply)
    return 0


def _upload(at: Caller) -> None:
    import socket

    try:
        while piece := os.read(sys.stdin.fileno(), PIECE_BYTES):
            at.circuit.sendall(piece)
        at.circuit.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the other direction says why
