"""Run one emulated instrument, or a whole simulated laboratory, until interrupted."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim_devices.emulators.emulator import Emulator, PortKind
from sim_devices.emulators.faults import Faults, parse_fault
from sim_devices.emulators.fpga_transmitter import Light
from sim_devices.emulators.server import Server
from sim_devices.emulators.station import Station
from sim_devices.physics.beam import Beam

if TYPE_CHECKING:
    from sim_devices.physics.bench import Bench

# Any: a transmitter's emulator takes its light, an attenuator's or power meter's its beam, the
# others their station.
Factory = Callable[[Any, Mapping[str, object]], Emulator]


def serve_emulator(arguments: Sequence[str]) -> int:
    """Serve one instrument alone: `KIND [--listen WHERE]... [--fault NAME@SECONDS]...`.

    The first line on standard output holds all its endpoints, separated by blanks.
    """
    wanted = _emulator_arguments(arguments)
    try:
        faults = Faults(parse_fault(text) for text in wanted.fault)
        options = {"unix_start_s": time.time(), **dict(map(_option, wanted.option))}
        emulator = _make(wanted.kind, None, options, faults)
    except ValueError as error:
        return _refuse(f"cannot emulate {wanted.kind}: {error}")
    server = Server()
    try:
        places = server.add(wanted.kind, emulator, wanted.listen, faults)
    except (ValueError, OSError) as error:
        server.close()
        return _refuse(f"cannot emulate {wanted.kind}: {error}")
    words = [place.address for place in places]
    if PortKind.REPLY in emulator.ports:
        words = _zmq_words(wanted.kind, words)
    _say(" ".join(words))
    _run(server)
    return 0


def serve_bench(arguments: Sequence[str]) -> int:
    """Serve the laboratory of a network file: `FILE`.

    The first line on standard output is a JSON object with the endpoints of each emulator, where
    the bench takes commands (see `bench_control`) and, for each link, what closed formulas expect
    of it.
    """
    if len(arguments) != 1:
        return _refuse("say which network file to simulate")
    server = Server()
    try:
        raw = tomllib.loads(Path(arguments[0]).read_text(encoding="utf-8"))
        summary = open_bench(raw, server)
    except (OSError, ValueError, KeyError) as error:
        server.close()
        return _refuse(f"cannot simulate {arguments[0]}: {error}")
    _say(json.dumps(summary))
    _run(server)
    return 0


def open_bench(raw: Mapping[str, object], server: Server) -> dict[str, object]:
    """Serve all emulators of a network file on one bench; return the summary to print."""
    from sim_devices.emulators.bench_control import BenchControl
    from sim_devices.physics.bench import Bench

    bench = Bench.from_network(raw)
    endpoints: dict[str, list[str]] = {}
    for name, table in _table(_table(raw, "bench"), "emulators").items():
        try:
            endpoints[name] = _open_emulator(name, table, bench, server)
        except OSError as error:
            raise ValueError(f"bench.emulators.{name}.listen: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"bench.emulators.{name}: {error}") from error
    try:
        control = server.add("control", BenchControl(bench), _control(raw))[0].url
    except OSError as error:
        raise ValueError(f"bench.control: {error.strerror}") from error
    # The first chunks, so that what has to be compiled is compiled before anybody measures.
    bench.advance(0.02)
    expected = {name: asdict(bench.expected(name)) for name in bench.links}
    return {"endpoints": endpoints, "control": control, "expected": expected}


def _open_emulator(name: str, table: object, bench: Bench, server: Server) -> list[str]:
    """Serve one emulator of the file; return its endpoints."""
    if not isinstance(table, Mapping):
        raise ValueError("is not a table")  # noqa: TRY004 - a wrong file
    makers: dict[str, Callable[[str], Station | Light | Beam]] = {
        "station": bench.station,
        "transmitter": bench.transmitter,
        "beam": bench.beam,
    }
    station: Station | Light | Beam | None = None
    for key in [key for key in makers if key in table][:1]:
        try:
            station = makers[key](str(table[key]))
        except KeyError:
            raise ValueError(f"{key}: the bench has no {key} '{table[key]}'") from None
    if "kind" not in table:
        raise ValueError(f"kind is missing; known are {', '.join(kinds())}")
    listen = table.get("listen", ())
    if not isinstance(listen, Sequence) or isinstance(listen, str):
        words = 'listen must be a list such as ["tcp://127.0.0.1:0"]'
        raise ValueError(words)  # noqa: TRY004 - a wrong file
    options = {"unix_start_s": time.time(), **table}
    faults = Faults(parse_fault(str(text)) for text in table.get("faults", ()))
    emulator = _make(str(table["kind"]), station, options, faults)
    return [place.url for place in server.add(name, emulator, tuple(map(str, listen)), faults)]


def kinds() -> list[str]:
    """Return the names of all emulators that are installed."""
    return sorted(point.name for point in entry_points(group="qnx_hw.emulators"))


def _make(
    kind: str, station: Station | Light | Beam | None, options: Mapping[str, object], faults: Faults
) -> Emulator:
    for point in entry_points(group="qnx_hw.emulators"):
        if point.name == kind:
            factory: Factory = point.load()
            return factory(station, {**options, "faults": faults})
    raise ValueError(f"there is no kind {kind!r}; known are {', '.join(kinds())}")


def _run(server: Server) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.stop())
    try:
        server.run()
    finally:
        server.close()


def _table(raw: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = raw.get(name, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"[{name}] is not a table")  # noqa: TRY004 - a wrong file
    return table


def _control(raw: Mapping[str, object]) -> tuple[str, ...]:
    where = _table(raw, "bench").get("control")
    return () if where is None else (str(where),)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"option {text!r} is not NAME=VALUE")
    return name.strip(), value.strip()


def _zmq_words(kind: str, addresses: Sequence[str]) -> list[str]:
    """Return what a ZeroMQ instrument prints: its kind, its host, and then its port numbers."""
    ports = [address.rpartition(":")[2] for address in addresses]
    return [kind, addresses[0].rpartition(":")[0], *ports]


def _emulator_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="emulate")
    parser.add_argument("kind")
    parser.add_argument("--listen", action="append", default=[])
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--option", action="append", default=[])
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _refuse(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return 1
