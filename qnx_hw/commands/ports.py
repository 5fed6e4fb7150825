"""Free ports for a network file whose own are taken, and the file that says so."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from qnx_hw.config.reading import read_tables
from qnx_hw.errors import ConfigError

LOCAL = re.compile(r"(127\.0\.0\.1:)(\d{1,5})")
NAMED = re.compile(r"(port=)(\d{1,5})")
# Below the ports that systems hand out by themselves (Linux from 32768, others from 49152): up
# there a port that is free now may belong to anybody's connection the next moment.
CHOICE = range(15_000, 20_000)


def local_ports(table: Any) -> set[int]:  # Any: a TOML document, of which only strings matter
    """Return every port that stands after `127.0.0.1:` anywhere in a TOML document."""
    if isinstance(table, str):
        return {int(port) for _, port in LOCAL.findall(table)}
    if isinstance(table, dict):
        return set().union(*map(local_ports, table.values()))
    if isinstance(table, list):
        return set().union(*map(local_ports, table))
    return set()


def moved(table: Any, ports: dict[int, int]) -> Any:
    """Return the document with its ports replaced, also those written as `…port=NUMBER`."""
    if isinstance(table, str):
        for pattern in (LOCAL, NAMED):
            table = pattern.sub(
                lambda match: match[1] + str(ports.get(int(match[2]), match[2])), table
            )
        return table
    if isinstance(table, dict):
        return {name: moved(value, ports) for name, value in table.items()}
    if isinstance(table, list):
        return [moved(value, ports) for value in table]
    return table


def is_free(port: int) -> bool:
    """Whether a listener can take a local port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Yield different free local ports that nobody else is given while the context lasts."""
    with ExitStack() as held:
        ports: list[int] = []
        for port in secrets.SystemRandom().sample(CHOICE, len(CHOICE)):
            if len(ports) == count:
                break
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
        if len(ports) < count:
            raise ConfigError(
                f"only {len(ports)} of the {count} ports that are needed are free between"
                f" {CHOICE.start} and {CHOICE.stop}; end programs that hold them"
            )
        yield ports


def free_ports(count: int) -> list[int]:
    """Return different local ports that are free now."""
    with held_ports(count) as ports:
        return ports


def resolve(file: Path, data_dir: Path | None) -> tuple[Path, dict[int, int]]:
    """Return a network file that works here and now, and which ports were moved.

    It is `file` itself where all its local ports are free and the data folder stays; else a copy,
    `network.toml` in the data folder, with all local ports moved together.
    """
    table = read_tables(file)
    taken = sorted(local_ports(table))
    ports = {}
    if not all(map(is_free, taken)):
        ports = dict(zip(taken, free_ports(len(taken)), strict=True))
    if not ports and data_dir is None:
        return file, {}
    import tomli_w

    table = moved(table, ports)
    section = table.get("network", {})
    folder = (data_dir or Path(section.get("data_dir", ".qnx"))).resolve()
    section["data_dir"] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "network.toml"
    copy.write_text(tomli_w.dumps(table), encoding="utf-8")
    return copy, ports
