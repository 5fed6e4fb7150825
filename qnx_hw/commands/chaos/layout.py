"""One network file, laid out on free ports with a wire in every connection.

The laboratory gets a file of its own, and so does each node: what it reaches through a wire stands
in it with the wire's port.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qnx_hw import config
from qnx_hw.commands.chaos.core import Core, server
from qnx_hw.commands.chaos.wires import Wire
from qnx_hw.commands.ports import LOCAL, NAMED, held_ports, local_ports, moved
from qnx_hw.config.reading import read_tables
from qnx_hw.errors import ConfigError

LONGEST_BLOCK_S = 15.0
"""A block's time is fixed when it begins: one that began in a weak moment ends after this."""
Table = dict[str, Any]  # a TOML document


@dataclass(frozen=True, slots=True)
class Layout:
    """Files, wires and addresses of one run."""

    network: config.NetworkFile
    laboratory: Path
    files: dict[str, Path]
    """Of each node."""
    apis: dict[str, str]
    plugs: dict[str, tuple[Wire, ...]]
    """By `NODE.INSTRUMENT`."""
    paths: dict[frozenset[str], tuple[Wire, ...]]
    """Between two nodes: the classical channel, and the way of user traffic."""
    core: Core | None = None
    """Where nodes meet for a controller's sake; None where there is no controller."""

    @property
    def wires(self) -> list[Wire]:
        """All of them."""
        return [
            wire for group in (self.plugs, self.paths) for each in group.values() for wire in each
        ]


def lay_out(file: Path, folder: Path) -> Layout:
    """Write all files below `folder`; the network file must describe a laboratory."""
    import tomli_w

    table = read_tables(file)
    if "bench" not in table:
        raise ConfigError(f"{file} has no [bench]: chaos is for simulated laboratories only")
    taken, nodes = sorted(local_ports(table)), list(table["nodes"])
    # No wire may take a port that a node or an emulator is going to.
    with held_ports(len(taken) + len(nodes) + 2) as ports:
        core_port, control_port, *others = ports
        apis = dict(zip(nodes, others, strict=False))
        table = moved(table, dict(zip(taken, others[len(nodes) :], strict=True)))
        table["bench"].setdefault("control", f"tcp://127.0.0.1:{control_port}")
        table["network"]["data_dir"] = str(folder / "data")
        for link in table["links"].values():
            link["max_block_s"] = min(LONGEST_BLOCK_S, link.get("max_block_s", LONGEST_BLOCK_S))
        for name, port in apis.items():
            table["nodes"][name]["api"] = f"127.0.0.1:{port}"
        core = _core(table, folder, core_port)
        laboratory = folder / "laboratory.toml"
        laboratory.write_text(tomli_w.dumps(table), encoding="utf-8")
        wiring = _Wiring(table, folder)
        files = {}
        for name in nodes:
            files[name] = folder / f"{name}.toml"
            files[name].write_text(tomli_w.dumps(wiring.seen_by(name)), encoding="utf-8")
    return Layout(
        network=config.load(laboratory),
        laboratory=laboratory,
        files=files,
        apis={name: f"http://127.0.0.1:{port}" for name, port in apis.items()},
        plugs=wiring.plugs,
        paths={pair: tuple(wires) for pair, wires in wiring.paths.items()},
        core=core,
    )


def _core(table: Table, folder: Path, port: int) -> Core | None:
    """Have the nodes of a network with a controller meet in a core of the trial's own."""
    if "controller" not in table:
        return None
    server()
    table["bus"] = {"servers": [f"tls://127.0.0.1:{port}"], "certificates": str(folder / "core")}
    core = Core(folder / "core", port)
    core.prepare(table["network"]["name"], list(table["nodes"]))
    return core


class _Wiring:
    def __init__(self, table: Table, folder: Path) -> None:
        self._table = table
        self._folder = folder
        self.plugs: dict[str, tuple[Wire, ...]] = {}
        self.paths: dict[frozenset[str], list[Wire]] = {}

    def seen_by(self, name: str) -> Table:
        """Return the document as a node shall read it."""
        seen = copy.deepcopy(self._table)
        for instrument, section in seen["nodes"][name].get("instruments", {}).items():
            ports = {
                int(port)
                for pattern in (LOCAL, NAMED)
                for _, port in pattern.findall(section["url"])
            }
            wires = [self._wire(f"{name}.{instrument}", port, capture=False) for port in ports]
            self.plugs[f"{name}.{instrument}"] = tuple(wires)
            new = dict(zip(ports, (wire.port for wire in wires), strict=True))
            section["url"] = moved(section["url"], new)
        for peer, section in seen["nodes"].items():
            if peer == name:
                continue
            for place in (section, section.get("edge")):
                if place is not None:
                    port = int(place["listen"].rpartition(":")[2])
                    wire = self._wire(f"{name}-{peer}", port, capture=True)
                    place["listen"] = f"127.0.0.1:{wire.port}"
                    self.paths.setdefault(frozenset({name, peer}), []).append(wire)
        return seen

    def _wire(self, name: str, target: int, *, capture: bool) -> Wire:
        return Wire(name, target, self._folder if capture else None)
