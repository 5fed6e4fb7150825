"""`qnx emulate`: one instrument's emulator, alone, until interrupted."""

from __future__ import annotations

import argparse

from qnx_hw.commands.sim import simulator

EXAMPLE = """example:
  qnx emulate tdc1 --listen pty --listen tcp://127.0.0.1:8501
  qnx emulate mpc320 --fault lost-completed@10 --fault unplug@30+5

The first line printed holds all endpoints, separated by blanks: the path of a pseudo-terminal,
or HOST:PORT; of an instrument on ZeroMQ its kind, HOST, PORT and PORT. An instrument with several
ports takes one --listen for each, or one for all."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("kind", metavar="KIND", help="which instrument, for example tdc1")
    parser.add_argument(
        "--listen",
        action="append",
        default=[],
        metavar="WHERE",
        help="pty, pty:LINK or tcp://HOST:PORT (0: a free port); may be repeated",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME@SECONDS[+DURATION]",
        help="what goes wrong, and when after the start; may be repeated",
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of this emulator, for example rate_cps=100000; may be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the installed simulator."""
    words = [arguments.kind]
    for name in ("listen", "fault", "option"):
        for value in getattr(arguments, name):
            words += [f"--{name}", value]
    return simulator("emulator")(words)
