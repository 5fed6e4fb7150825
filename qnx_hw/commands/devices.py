"""`qnx devices`: which instruments are here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw.errors import ConfigError, QnxError, Unsupported

if TYPE_CHECKING:
    from qnx_hw.instruments.discovery import Found

EXAMPLE = """example:
  qnx devices
  qnx devices lab.toml --host 192.168.1.3 --json devices.json
  qnx devices --ask lcc25=/dev/ttyUSB0
  qnx devices --identify 38000001

Looks at USB descriptors, and asks one harmless question only where a descriptor names the
instrument, at the addresses of a network file, and at hosts that you name. No other port is ever
written to; --ask allows one."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a network file")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="ask this host, at the ports of the drivers or at this one; may be repeated",
    )
    parser.add_argument(
        "--ask",
        action="append",
        default=[],
        metavar="DRIVER=PORT",
        help="ask for a driver's instrument at a serial port; may be repeated",
    )
    parser.add_argument(
        "--identify",
        metavar="NAME",
        help="have one blink, or read it: its serial number, driver or address",
    )
    parser.add_argument(
        "--timeout", type=float, default=1.0, metavar="S", help="deadline of each question"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what was found there")


def run(arguments: argparse.Namespace) -> int:
    """Search and show; 0 also where nothing is found."""
    found = search(arguments)
    for line in table(found):
        print(line)
    if arguments.json is not None:
        import msgspec

        try:
            arguments.json.write_bytes(msgspec.json.encode(found) + b"\n")
        except OSError as error:
            raise QnxError(f"cannot write {arguments.json}: {error.strerror}") from error
    if arguments.identify:
        identify(arguments.identify, found)
    return 0


def search(arguments: argparse.Namespace) -> tuple[Found, ...]:
    """Return what is at the ports, the configured addresses and the named hosts."""
    from qnx_hw.instruments.discovery import at_host, discover, known
    from qnx_hw.transports import plugged_in

    discoveries = known()
    configured: list[tuple[str, str]] = []
    if arguments.file is not None:
        from qnx_hw.config.network import load

        configured = [
            (instrument.driver, instrument.url)
            for node in load(arguments.file).nodes.values()
            for instrument in node.instruments.values()
        ]
    found = discover(
        plugged_in(),
        discoveries,
        addresses=configured,
        allowed=dict(_allowed(text) for text in arguments.ask),
        timeout_s=arguments.timeout,
    )
    for host in arguments.host:
        found += at_host(host, discoveries, timeout_s=arguments.timeout)
    return found


def identify(name: str, found: tuple[Found, ...]) -> None:
    """Have the one instrument of this name blink, or show what it measures."""
    from qnx_hw.instruments.discovery import blink, known, read_once
    from qnx_hw.transports import make_wire

    fits = [
        each
        for each in found
        if name in (each.driver, each.url) or (each.identity and each.identity.serial == name)
    ]
    if len(fits) != 1:
        raise ConfigError(f"{len(fits)} instruments fit '{name}'; say its serial number or address")
    discovery = known()[fits[0].driver]
    if discovery.blink:
        blink(make_wire(fits[0].url), discovery)
        print(f"{fits[0].url} blinks")
    elif discovery.test_read:
        print(f"{fits[0].url} says: {read_once(make_wire(fits[0].url), discovery)}")
    else:
        raise Unsupported(f"a {fits[0].driver} cannot blink; read it with qnx capture instead")


def table(found: tuple[Found, ...]) -> list[str]:
    """Return one line for each find."""
    if not found:
        return ["no instrument was found; name hosts with --host or ports with --ask"]
    rows = [("driver", "address", "how sure", "who")]
    for each in found:
        who = each.note
        if each.identity is not None:
            known = (each.identity.maker, each.identity.model, each.identity.serial)
            who = " ".join(filter(None, known))
        rows.append((each.driver, each.url, each.confidence, who))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]


def _allowed(text: str) -> tuple[str, str]:
    driver, equals, device = text.partition("=")
    if not equals or not device:
        raise ConfigError(f"--ask {text!r} is not DRIVER=PORT")
    return device, driver
