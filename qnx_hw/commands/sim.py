"""`qnx sim`: the simulated laboratory of a network file, until interrupted, or a word to one."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from qnx_hw.config.reading import read_tables
from qnx_hw.errors import ConfigError, QnxError, Unsupported

EXAMPLE = """examples:
  qnx sim examples/demo.toml
  qnx sim examples/demo.toml --tell "knock bob 0.8" --tell "loss alice 10"

The first line printed is a JSON object: the endpoints of each emulator, where the bench takes
commands, and for each link what closed formulas expect (error rate, CHSH value, rates).
`--tell help` prints the commands that a running bench obeys."""
TELL_TIMEOUT_S = 10.0
"""A bench that is drawing a lot of light answers late."""
LONGEST_ANSWER = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the network file with a [bench] table, or with --tell the bench's tcp:// address",
    )
    parser.add_argument(
        "--tell",
        action="append",
        default=[],
        metavar="COMMAND",
        help="disturb the bench of this file that runs already, at its [bench] control",
    )


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the installed simulator, or speak to one that runs."""
    if arguments.tell:
        where: str = arguments.file
        url = where if where.startswith("tcp://") else control_of(Path(where))
        for command in arguments.tell:
            print(tell(url, command))
        return 0
    read_tables(Path(arguments.file))  # a file that cannot be read is refused as everywhere
    return simulator("bench")([arguments.file])


def simulator(name: str) -> Callable[[Sequence[str]], int]:
    """Return the simulator that is installed under a name; raise Unsupported without one."""
    for point in entry_points(group="qnx_hw.simulators", name=name):
        found: Callable[[Sequence[str]], int] = point.load()
        return found
    raise Unsupported(f"no simulator {name!r} is installed; install qnx-hw completely")


def control_of(file: Path) -> str:
    """Return where the bench of a network file takes commands."""
    bench = read_tables(file).get("bench", {})
    url = bench.get("control")
    if not isinstance(url, str):
        raise ConfigError(f"{file}: [bench] has no control; set it to a tcp:// address")
    return url


def tell(url: str, command: str, *, timeout_s: float = TELL_TIMEOUT_S) -> str:
    """Say one line to a running bench and return what it answered; `QnxError` if it refused."""
    place = urlsplit(url)
    try:
        address = (place.hostname or "", place.port or 0)
        with socket.create_connection(address, timeout=timeout_s) as wire:
            wire.sendall(command.replace("\n", " ").encode() + b"\n")
            with wire.makefile("rb") as answers:
                said = answers.readline(LONGEST_ANSWER).decode("utf-8", "replace").strip()
    except OSError as error:
        raise QnxError(f"no bench answers at {url}: {error}; is `qnx sim` running?") from error
    verdict, _, rest = said.partition(" ")
    if verdict != "OK":
        raise QnxError(f"the bench refused '{command}': {rest or said or 'it hung up'}")
    return rest
