"""`qnx capture`: write down what an instrument and its driver say, for a bug report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw.errors import ConfigError, InstrumentError

if TYPE_CHECKING:
    from qnx_hw.instruments.families import Instrument

EXAMPLE = """example:
  qnx capture mpc320 serial:///dev/ttyUSB0 --out paddles.jsonl
  qnx capture lab.toml alice.tagger --out tagger.jsonl

Connects, makes every call that only reads, and leaves; nothing moves and nothing is set. Each line
of the file holds the time, the direction (> to the instrument) and the bytes in hex. The recording
runs again without the instrument: use transcript://FILE as the address of the driver."""
NETWORK_FILE = ".toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("what", metavar="DRIVER|FILE", help="a driver, or a network file")
    parser.add_argument(
        "where", metavar="URL|NODE.INSTRUMENT", help="where it is, or which one of the file"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the transcript")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="deadline of each call"
    )


def run(arguments: argparse.Namespace) -> int:
    """Record; 0 where every call was answered."""
    from qnx_hw import __version__
    from qnx_hw.instruments import registry
    from qnx_hw.transports import Transcript

    driver, url = chosen(arguments.what, arguments.where)
    try:
        transcript = Transcript(arguments.out, is_new=True)
    except OSError as error:
        raise ConfigError(f"cannot write {arguments.out}: {error.strerror}") from error
    transcript.note(driver=driver, url=url, qnx=__version__, unix_s=round(time.time()))
    instrument = registry.make(driver, url, driver, recorder=transcript)
    try:
        outcomes = read_everything(instrument, arguments.timeout)
    finally:
        transcript.close()
    for name, said in outcomes:
        print(f"{name:20} {said or 'answered'}")
    print(f"wrote {arguments.out}; attach it to your report")
    return 1 if any(said for _, said in outcomes) else 0


def chosen(what: str, where: str) -> tuple[str, str]:
    """Return driver and URL, as given or out of a network file."""
    if not what.endswith(NETWORK_FILE):
        return what, where
    from qnx_hw.config.network import load

    network = load(Path(what))
    known = {
        f"{node}.{name}": instrument
        for node, section in network.nodes.items()
        for name, instrument in section.instruments.items()
    }
    if where not in known:
        raise ConfigError(f"{what} has no instrument '{where}'; it has {', '.join(sorted(known))}")
    return known[where].driver, known[where].url


def read_everything(instrument: Instrument, timeout_s: float) -> list[tuple[str, str]]:
    """Connect, make each call that only reads, and close; return each call's name and error."""
    from qnx_hw.instruments.conformance.calls import calls_of, reading

    outcomes = [("connect", _error(lambda: instrument.connect(timeout_s=timeout_s)))]
    try:
        if not outcomes[0][1]:
            for call in reading(calls_of(instrument)):
                outcomes.append((call.name, _error(partial(call.act, 0, timeout_s))))
    finally:
        instrument.close()
    return outcomes


def _error(call: Callable[[], object]) -> str:
    try:
        call()
    except InstrumentError as error:
        return f"{type(error).__name__}: {error}"
    return ""
