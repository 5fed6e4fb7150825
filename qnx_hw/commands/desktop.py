"""`qnx desktop`: the desktop app, a client of running nodes."""

from __future__ import annotations

import argparse
import socket
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

from qnx_hw.commands.demo import DEFAULT_FILE

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8470
DEFAULT_URL = f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n"
        "  qnx desktop                 the node on this machine; where none runs, a demonstration\n"
        "  qnx desktop lab.toml        starts its nodes as a child, and ends them at the end\n"
        "  qnx desktop --url https://lab:8470 --token-file token.txt"
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="network file to run as a child"
    )
    parser.add_argument("--url", help=f"API of a node that runs, e.g. {DEFAULT_URL}")
    parser.add_argument("--token-file", type=Path, help="file with an API token for that node")


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the first desktop that is installed."""
    from qnx_hw.errors import ConfigError

    if arguments.file is not None and arguments.url is not None:
        raise ConfigError("give a network file to run or the --url of a node that runs, not both")
    token = ""
    if arguments.token_file is not None:
        try:
            token = arguments.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(f"the token file cannot be read: {error}") from error
    found = sorted(entry_points(group="qnx_hw.desktops"), key=lambda point: point.name)
    if not found:
        raise ConfigError("no desktop app is installed here")
    try:
        desktop = found[0].load()
    except ImportError as error:
        raise ConfigError(f"the desktop app cannot start here: {error}") from error
    if arguments.file is not None:
        return int(desktop(command=child_of(arguments.file)))
    if arguments.url is None and not _answers():
        return int(desktop(command=child_of(DEFAULT_FILE)))
    return int(desktop(arguments.url or DEFAULT_URL, token=token))


def child_of(file: Path) -> list[str]:
    """Return the command that runs a network file: with its laboratory, where it describes one."""
    from qnx_hw import config

    program = [sys.executable, "-m", "qnx_hw"]
    if config.load(file).bench:
        return [*program, "demo", str(file), "--headless"]
    return [*program, "run", str(file)]


def _answers() -> bool:
    """Whether anything listens where a node on this machine would."""
    with suppress(OSError), socket.create_connection((DEFAULT_HOST, DEFAULT_PORT), timeout=0.5):
        return True
    return False
