"""Traffic files: matrices recorded in a network, and its links, as numpy's `.npz`.

| array | shape | |
|---|---|---|
| `tm_mbps` | `(T, N, N)` | what went from row to column, Mbit/s |
| `edge_src`, `edge_dst` | `(E,)` | ends of each link, one way: numbers from 0, or names |
| `edge_cap_mbps` | `(E,)` | what each link carries one way, Mbit/s |
| `nodes`, `edge_weight`, `t_unix` | `(N,)`, `(E,)`, `(T,)` | may be left out |
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import ConfigError

if TYPE_CHECKING:
    from qnx_hw.network.topology import Floats, Integers, Topology

NEEDED = ("tm_mbps", "edge_src", "edge_dst", "edge_cap_mbps")
OPTIONAL = ("nodes", "edge_weight", "t_unix")
_REAL = "biuf"
_Array = npt.NDArray[Any]  # of whatever type the file has, until it is looked at


@dataclass(frozen=True, eq=False)
class TrafficRecord:
    """A network and its traffic `(T, N, N)` in order of time."""

    topology: Topology
    matrices: Floats
    notes: tuple[str, ...]
    """What was odd in the file, and what was made of it."""


def read(path: Path) -> TrafficRecord:
    """Read a traffic file; `ConfigError` names the file, what does not fit, and where."""
    notes: list[str] = []
    arrays = _arrays(path, notes.append)
    try:
        matrices = _matrices(arrays, notes.append)
        names = _names(arrays.get("nodes"), matrices.shape[1])
        topology = _topology(arrays, names, notes.append)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return TrafficRecord(topology, matrices, tuple(notes))


def _arrays(path: Path, note: Callable[[str], None]) -> dict[str, _Array]:
    arrays: dict[str, _Array] = {}
    try:
        with path.open("rb") as source, np.load(source, allow_pickle=False) as archive:
            held = tuple(archive)
            for name in (*NEEDED, *OPTIONAL):
                if name not in held:
                    continue
                try:
                    arrays[name] = archive[name]
                except ValueError:
                    if name in NEEDED:
                        raise
                    note(f"{name} is no plain array and is not used")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, TypeError, BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path} is no whole npz archive of plain arrays") from error
    if missing := [name for name in NEEDED if name not in arrays]:
        raise ConfigError(
            f"{path} has no {', '.join(missing)}; it holds {', '.join(held) or 'nothing'}, and a "
            f"traffic file needs {', '.join(NEEDED)}"
        )
    return arrays


def _matrices(arrays: dict[str, _Array], note: Callable[[str], None]) -> Floats:
    matrices: _Array = arrays["tm_mbps"]
    shape = matrices.shape
    if matrices.ndim != 3 or not all(shape) or shape[1] != shape[2]:
        raise ValueError(f"tm_mbps has the shape {shape}, not (T, N, N)")
    _check_real("tm_mbps", matrices)
    odd = int(np.count_nonzero(~(np.isfinite(matrices) & (matrices >= 0))))
    if odd:
        note(
            f"tm_mbps has {odd} entries that are negative or no numbers: in the past they count as "
            "unchanged, and as no demand where a step is judged"
        )
    if "t_unix" not in arrays:
        return matrices
    times = arrays["t_unix"]
    if times.shape != shape[:1]:
        raise ValueError(f"t_unix has the shape {times.shape} for {shape[0]} matrices")
    _check_real("t_unix", times)
    _check_each("t_unix", times, np.isfinite(times), "is no time")
    if np.all(times[1:] > times[:-1]):
        return matrices
    order = np.argsort(times, kind="stable")
    again = int(np.count_nonzero(times[order][1:] == times[order][:-1]))
    note(f"t_unix does not grow: steps are taken in its order, {again} with another's time")
    return matrices[order]


def _names(nodes: _Array | None, count: int) -> tuple[str, ...]:
    if nodes is None:
        return tuple(map(str, range(count)))
    names = tuple(_words(nodes))
    if len(names) != count:
        raise ValueError(f"nodes has {len(names)} names for {count} nodes in tm_mbps")
    if len(set(names)) < count:
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"nodes has the name '{twice}' more than once")
    return names


def _topology(
    arrays: dict[str, _Array], names: tuple[str, ...], note: Callable[[str], None]
) -> Topology:
    from qnx_hw.network.topology import Topology

    capacities = arrays["edge_cap_mbps"]
    weights = arrays.get("edge_weight", np.ones(capacities.shape))
    for name in ("edge_src", "edge_dst", "edge_weight"):
        shape = arrays.get(name, capacities).shape
        if capacities.ndim != 1 or shape != capacities.shape:
            raise ValueError(f"edge_cap_mbps has the shape {capacities.shape}, {name} {shape}")
    _check_real("edge_cap_mbps", capacities)
    _check_real("edge_weight", weights)
    is_limit = np.isfinite(capacities) & (capacities >= 0)
    _check_each(
        "edge_cap_mbps", capacities, is_limit, "is no capacity; leave out what carries none"
    )
    sources = _ends("edge_src", arrays["edge_src"], names)
    targets = _ends("edge_dst", arrays["edge_dst"], names)
    kept = (capacities > 0) & (sources != targets)
    if not kept.all():
        left_out = [f"{names[sources[e]]}-{names[targets[e]]}" for e in np.flatnonzero(~kept)]
        note(f"links without capacity or from a node to itself are left out: {_some(left_out)}")
    if not np.all(np.isfinite(weights) & (weights > 0)):
        note("edge_weight is not above zero everywhere and is not used: each link counts alike")
        weights = np.ones(capacities.shape)
    return Topology(
        names,
        sources[kept],
        targets[kept],
        capacities[kept].astype(np.float64),
        weights[kept].astype(np.float64),
    )


def _ends(name: str, ends: _Array, names: tuple[str, ...]) -> Integers:
    """Return the numbers of the nodes where links end."""
    if ends.dtype.kind in "US":
        index = {node: place for place, node in enumerate(names)}
        words = list(_words(ends))
        _check_each(name, ends, np.array([word in index for word in words]), "is not among nodes")
        return np.array([index[word] for word in words], dtype=np.int64)
    _check_real(name, ends)
    is_node = np.isfinite(ends) & (ends >= 0) & (ends < len(names)) & (ends == np.floor(ends))
    _check_each(name, ends, is_node, f"is no node: there are {len(names)}, numbered from 0")
    return ends.astype(np.int64)


def _words(array: _Array) -> Iterable[str]:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return (str(word) for word in array.ravel().tolist())


def _check_real(name: str, array: _Array) -> None:
    if array.dtype.kind not in _REAL:
        raise ValueError(f"{name} holds {array.dtype}, not numbers")


def _check_each(name: str, array: _Array, good: npt.NDArray[np.bool_], trouble: str) -> None:
    if not good.all():
        place = int(np.argmin(good))
        raise ValueError(f"{name}[{place}] = {array[place]} {trouble}")


def _some(words: list[str], most: int = 5) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
