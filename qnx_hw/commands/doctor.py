"""`qnx doctor`: is everything here that qnx, and a network file, need?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw import config

if TYPE_CHECKING:
    from qnx_hw.node.doctor import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx doctor\n  qnx doctor lab.toml --node alice --json doctor.json\n\n"
        "It changes nothing, asks no instrument and reads no key."
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="network file")
    parser.add_argument(
        "--node", action="append", metavar="NAME", help="that runs here; all where not given"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the findings")


def run(arguments: argparse.Namespace) -> int:
    """Look and tell; 1 where something will fail."""
    from qnx_hw.errors import ConfigError
    from qnx_hw.node.doctor import Health

    if arguments.node and arguments.file is None:
        raise ConfigError("--node needs a network file")
    findings = []
    for finding in _look(arguments):
        findings.append(finding)
        print(f"{finding.health:7}  {finding.subject}: {finding.found}")
        if finding.advice:
            print(f"{'':7}  -> {finding.advice}")
    problems = sum(finding.health is Health.PROBLEM for finding in findings)
    print(f"{problems} problems" if problems else "nothing is wrong")
    if arguments.json is not None:
        import msgspec

        try:
            arguments.json.write_bytes(msgspec.json.encode(findings) + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot write {arguments.json}: {error.strerror}") from error
    return 1 if problems else 0


def _look(arguments: argparse.Namespace) -> Iterator[Finding]:
    import datetime as dt

    from qnx_hw.errors import ConfigError
    from qnx_hw.node.doctor import finding, installation, machine, network

    yield from installation()
    if arguments.file is None:
        yield from machine(Path(".qnx"))
        return
    file = config.load(arguments.file)
    nodes = tuple(arguments.node or file.nodes)
    for node in nodes:
        if node not in file.nodes:
            raise ConfigError(f"{arguments.file} has no [nodes.{node}]")
    yield from machine(Path(file.network.data_dir))
    yield finding.ok("network file", f"{arguments.file}: {len(file.nodes)} nodes")
    yield from _ports(arguments.file)
    yield from network(file, nodes, dt.datetime.now(dt.UTC))


def _ports(path: Path) -> Iterator[Finding]:
    from qnx_hw.commands.ports import is_free, local_ports
    from qnx_hw.config.reading import read_tables
    from qnx_hw.node.doctor.finding import note, ok

    ports = sorted(local_ports(read_tables(path)))
    taken = [port for port in ports if not is_free(port)]
    if taken:
        yield note(
            "ports",
            f"somebody listens at {', '.join(map(str, taken))}",
            f"fine where qnx runs already; else find who does: `ss -ltnp sport = :{taken[0]}`",
        )
    yield ok("ports", f"{len(ports) - len(taken)} of {len(ports)} local ones are free")
