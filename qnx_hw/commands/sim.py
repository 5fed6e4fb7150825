"""`qnx sim`: the simulated laboratory of a network file, until interrupted."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

from qnx_hw.errors import Unsupported

EXAMPLE = """example:
  qnx sim examples/demo.toml

The first line printed is a JSON object: the endpoints of each emulator, and for each link what
closed formulas expect (error rate, CHSH value, rates)."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("file", metavar="FILE", help="the network file with a [bench] table")


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the installed simulator."""
    return simulator("bench")([arguments.file])


def simulator(name: str) -> Callable[[Sequence[str]], int]:
    """Return the simulator that is installed under a name; raise Unsupported without one."""
    for point in entry_points(group="qnx_hw.simulators", name=name):
        found: Callable[[Sequence[str]], int] = point.load()
        return found
    raise Unsupported(f"no simulator {name!r} is installed; install qnx-hw completely")
