"""`qnx desktop`: the desktop app, a client of running nodes."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = "example:\n  qnx desktop --url http://127.0.0.1:8470"
    parser.add_argument(
        "--url", default="http://127.0.0.1:8470", help="a node's API (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Hand over to the first desktop that is installed."""
    from qnx_hw.errors import ConfigError

    found = sorted(entry_points(group="qnx_hw.desktops"), key=lambda point: point.name)
    if not found:
        raise ConfigError("no desktop app is installed here")
    try:
        desktop = found[0].load()
    except ImportError as error:
        raise ConfigError(f"the desktop app cannot start here: {error}") from error
    return int(desktop(arguments.url))
