"""`qnx recv`: fetch the files that arrived at the node here."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw.errors import QnxError

if TYPE_CHECKING:
    from qnx_hw.edge.parcels import Parcel

LOOK_INTERVAL_S = 0.5
PIECE_BYTES = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx recv lab.toml --node bob                  fetch all that is here\n"
        "  qnx recv lab.toml --node bob --wait 60        wait for one first\n"
        "  qnx recv lab.toml --node bob --list           only look"
    )
    parser.add_argument("network", type=Path, metavar="NETWORK", help="network file")
    parser.add_argument("--node", metavar="NAME", help="the node that runs here")
    parser.add_argument(
        "--into", type=Path, default=Path(), metavar="FOLDER", help="where to put them"
    )
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for a file"
    )
    parser.add_argument("--list", action="store_true", help="show what is here and fetch nothing")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was fetched")


def run(arguments: argparse.Namespace) -> int:
    """Fetch."""
    import msgspec

    parcels = _look(arguments)
    end_s = time.monotonic() + arguments.wait
    while not parcels and time.monotonic() < end_s:
        time.sleep(LOOK_INTERVAL_S)
        parcels = _look(arguments)
    fetched = []
    for parcel in parcels:
        path = None if arguments.list else _take(arguments, parcel)
        print(f"{path or parcel.file}  {parcel.size:,} bytes  from {parcel.source}")
        fetched.append(
            {
                "name": parcel.name,
                "file": str(path or parcel.file),
                "size": parcel.size,
                "source": parcel.source,
                "sha256": parcel.sha256.hex(),
            }
        )
    if arguments.json is not None:
        octets = msgspec.json.format(msgspec.json.encode({"files": fetched}))
        arguments.json.write_bytes(octets + b"\n")
    if not parcels and arguments.wait:
        raise QnxError(f"no file arrived within {arguments.wait:g} s")
    if not parcels:
        print("no file has arrived that was not fetched yet")
    return 0


def _look(arguments: argparse.Namespace) -> tuple[Parcel, ...]:
    from qnx_hw.commands.door import at_the_door
    from qnx_hw.edge.local import Reply

    with at_the_door(arguments.network, arguments.node, what="list") as at:
        return at.answer(Reply).parcels


def _take(arguments: argparse.Namespace, parcel: Parcel) -> Path:
    """Write a file and only then let the node forget it; its name is taken as a name, no path."""
    from qnx_hw.commands.door import at_the_door
    from qnx_hw.edge.local import Reply

    path = _free(arguments.into / (Path(parcel.file).name or parcel.name))
    with at_the_door(arguments.network, arguments.node, what="take", name=parcel.name) as at:
        left = at.answer(Reply).size
        with path.open("xb") as file:
            while left:
                piece = at.answers.read(min(PIECE_BYTES, left))
                if not piece:
                    raise QnxError(f"the node ended in the middle of {parcel.file}")
                file.write(piece)
                left -= len(piece)
        at.circuit.sendall(b"+")
    return path


def _free(path: Path) -> Path:
    """Return a path that does not exist: nothing is overwritten."""
    number, free = 1, path
    while free.exists():
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return free
