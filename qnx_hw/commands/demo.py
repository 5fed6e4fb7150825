"""`qnx demo`: a laboratory, two parties and their keys, on this computer alone."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import qnx_hw
from qnx_hw import logs

DEFAULT_FILE = Path(qnx_hw.__file__).resolve().parent.parent / "examples" / "demo.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx demo\n  qnx demo --headless --seconds 60 --json out.json\n\n"
        "Ends with status 0 only if both parties hold the same key."
    )
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="network file (default: the example)"
    )
    parser.add_argument("--headless", action="store_true", help="open no window")
    parser.add_argument("--seconds", type=float, metavar="N", help="end so long after the start")
    parser.add_argument("--blocks", type=int, metavar="N", help="end after so many blocks of key")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where keys are kept")


def run(arguments: argparse.Namespace) -> int:
    """Make keys until told to stop and say whether both parties hold the same."""
    import logging

    from qnx_hw.commands.demonstration import Settings, demonstrate
    from qnx_hw.commands.lifetime import run_async
    from qnx_hw.errors import QnxError

    logs.configure(logging.ERROR)
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    settings = Settings(
        file=arguments.file or DEFAULT_FILE,
        data_dir=arguments.data_dir,
        seconds=arguments.seconds,
        blocks=arguments.blocks,
        desktop=has_display and not arguments.headless,
    )
    result = run_async(demonstrate(settings))
    if arguments.json is not None:
        result.write(arguments.json)
    if not result.is_good:
        raise QnxError(result.verdict)
    print(result.verdict)
    return 0
