"""The network as the planner sees it: nodes joined by directed links with capacities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Topology:
    """Directed links `e` from `sources[e]` to `targets[e]`.

    `sources`, `targets` are int64 `(E,)` node numbers, `capacities` and `weights` float64 `(E,)`;
    capacities in the unit of the demands (Mbit/s), weights as shortest paths count them.
    """

    names: tuple[str, ...]
    sources: Integers
    targets: Integers
    capacities: Floats
    weights: Floats

    def __post_init__(self) -> None:
        count = len(self.names)
        sizes = {a.shape for a in (self.sources, self.targets, self.capacities, self.weights)}
        if len(sizes) != 1 or self.sources.ndim != 1:
            raise ValueError(f"link arrays must be flat and of one length, not {sorted(sizes)}")
        ends = np.concatenate((self.sources, self.targets))
        if ends.size and (ends.min() < 0 or ends.max() >= count):
            raise ValueError(f"a link ends at node {ends.max()}, there are {count}")
        if np.any(self.sources == self.targets):
            raise ValueError("a link joins a node to itself")
        for name, values in (("capacity", self.capacities), ("weight", self.weights)):
            if not np.all(np.isfinite(values) & (values > 0)):
                raise ValueError(f"every link needs a {name} above zero")

    @property
    def node_count(self) -> int:
        """Number of nodes N."""
        return len(self.names)

    @property
    def link_count(self) -> int:
        """Number of directed links E."""
        return int(self.sources.size)

    @cached_property
    def ends(self) -> tuple[tuple[str, str], ...]:
        """Return the names of the nodes that each link leads from and to."""
        return tuple(
            (self.names[source], self.names[target])
            for source, target in zip(self.sources, self.targets, strict=True)
        )

    @cached_property
    def pairs(self) -> tuple[Integers, Integers]:
        """Return sources and targets of all ordered node pairs, row by row."""
        rows, columns = np.nonzero(~np.eye(self.node_count, dtype=bool))
        return rows, columns

    def demands(self, matrix: npt.ArrayLike) -> Floats:
        """Return the demands of all pairs `(..., P)` from traffic matrices `(..., N, N)`.

        What cannot be a demand (NaN, infinite, negative) counts as none.
        """
        traffic = np.asarray(matrix, dtype=np.float64)
        if traffic.shape[-2:] != (self.node_count, self.node_count):
            raise ValueError(f"a traffic matrix of {traffic.shape} for {self.node_count} nodes")
        rows, columns = self.pairs
        demands: Floats = traffic[..., rows, columns]
        return np.where(np.isfinite(demands) & (demands > 0), demands, 0.0)
