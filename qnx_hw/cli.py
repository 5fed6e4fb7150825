"""The command line: picks the command and loads nothing else."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

from qnx_hw import __version__
from qnx_hw.errors import QnxError

COMMANDS = {
    "demo": "make quantum keys on simulated instruments, here and now",
    "run": "run one, some or all nodes of a network file",
    "desktop": "open the desktop app and attach it to running nodes",
    "keys": "prepare nodes' first secret; fetch keys as an application does",
    "pki": "make certificates for key managers and the applications they serve",
    "users": "say who may use the API and the dashboard",
    "sim": "run a network file's simulated laboratory",
    "devices": "find the instruments that are here",
    "check": "see whether a driver keeps its promises on an instrument",
    "capture": "record what an instrument and its driver say to each other",
    "emulate": "run one instrument's emulator alone",
    "tags": "look into recordings of time tags",
    "replay": "run a recording again through the same links and screens",
    "distill": "make key from two recordings and say what it rests on",
    "tunnel": "show the tunnels of running nodes, or use one",
    "send": "send a file to another node",
    "recv": "fetch the files that arrived here",
    "stream": "send JSON lines through the network, processed on the way",
    "routes": "ask the routing engine what it decides, and how well",
    "keylength": "compute how many secret bits a block holds",
    "align": "align a polarization, steer and replay the loop that does",
    "tune": "find the window and the pump with the most key",
    "chaos": "let faults befall a simulated network and see that nothing breaks",
    "doctor": "see whether everything is here that qnx needs",
    "bench": "measure ours beside peers",
}
"""Each command is a module `qnx_hw.commands.NAME` with `configure(parser)` and `run(arguments)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0 on success, 2 for wrong usage, 1 for everything else that failed."""
    arguments = parse(list(sys.argv[1:] if argv is None else argv))
    module = importlib.import_module(f"qnx_hw.commands.{arguments.command}")
    try:
        status = int(module.run(arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads us has enough, as `head` does. Python would complain once more at its end.
        _hush()
        return 1
    except QnxError as error:
        print(f"qnx {arguments.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        words = f"cannot use {error.filename or 'the output'}: {error.strerror}"
        print(f"qnx {arguments.command}: {words}", file=sys.stderr)
        if error.filename is None:
            _hush()
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _hush() -> None:
    """Let what is still to be written to standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(words: list[str]) -> argparse.Namespace:
    """Return what a command line says; wrong usage ends the process with status 2."""
    parser = argparse.ArgumentParser(
        prog="qnx", description="Quantum Nexus: a quantum-secured network from photons to packets."
    )
    parser.add_argument("--version", action="version", version=f"qnx {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = words[0] if words and words[0] in COMMANDS else None
    for name, summary in COMMANDS.items():
        child = commands.add_parser(
            name,
            help=summary,
            description=summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            importlib.import_module(f"qnx_hw.commands.{name}").configure(child)
    return parser.parse_args(words)
