"""What the controller expects of demand and of key, beside what came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from qnx_hw.api.traffic import Forecast
from qnx_hw.network.forecast import Expectation, Forecaster
from qnx_hw.network.knowledge import Knowledge
from qnx_hw.network.topology import Floats, Topology

SHOWN = 360
"""Intervals of each forecast that the screens get."""
MOST_SHOWN = 60
"""Pairs of nodes whose forecasts the screens get: those with the most demand."""
STOCK_SPENT_S = 3_600.0
"""Stock above the reserve may be spent over this time, on top of what is made."""


class _Row(NamedTuple):
    """One interval: when it ended, what was expected of it, and what came."""

    time_s: float
    expected: Floats
    low: Floats
    high: Floats
    actual: Floats


class Expectations:
    """Forecasts of every pair's demand (Mbit/s) and every link's secret key rate (bit/s)."""

    def __init__(self, topology: Topology, *, interval_s: float, season: int) -> None:
        self._topology = topology
        self._interval_s = interval_s
        self._joined = sorted({(min(ends), max(ends)) for ends in topology.ends})
        self._demand = Forecaster(topology.pairs[0].size, season=season)
        self._key = Forecaster(len(self._joined), season=season)
        self._rows: dict[str, deque[_Row]] = {
            "demand": deque(maxlen=SHOWN),
            "key": deque(maxlen=SHOWN),
        }

    @property
    def forecasters(self) -> tuple[Forecaster, ...]:
        """All forecasters."""
        return self._demand, self._key

    @property
    def steps(self) -> int:
        """Intervals seen so far, up to what is kept."""
        return self._demand.steps

    def observe(
        self, interval: int, matrix: Floats, key_bps: Mapping[tuple[str, str], float]
    ) -> None:
        """Compare what was expected of an interval with what came; key by nodes in order."""
        time_s = (interval + 1) * self._interval_s
        demand: Floats = matrix[self._topology.pairs]
        key = np.array([key_bps.get(pair, np.nan) for pair in self._joined])
        for name, forecaster, came in (
            ("demand", self._demand, demand),
            ("key", self._key, key),
        ):
            said = forecaster.expect()
            if forecaster.steps:
                self._rows[name].append(_Row(time_s, said.values, said.low, said.high, came))
            forecaster.observe(came)

    def demand(self) -> Floats:
        """Return the demand `(P,)` to plan for, in Mbit/s."""
        return self._demand.expect().values

    def key(self) -> Expectation:
        """Return the key rates expected, by joined pair in order of their names."""
        return self._key.expect()

    def capacities(self, knowledge: Knowledge) -> Floats | None:
        """Return what links carry where traffic draws key, in Mbit/s; None where key is no limit.

        Each link passes no more than its key lasts for: the low forecast of its rate and its
        stock above the reserve spread over an hour, over the key that a bit of traffic draws.
        """
        demand, draw = knowledge.demand_and_draw_bps()
        if demand <= 0 or draw <= 0:
            return None
        drawn = min(draw / demand, 1.0)
        low = dict(zip(self._joined, self._key.expect().low, strict=True))
        pools, topology = knowledge.pools(), self._topology
        capacities = topology.capacities.copy()
        for link, ends in enumerate(topology.ends):
            pair = (min(ends), max(ends))
            if pair in pools:
                spare = max(pools[pair].stock_bits - pools[pair].reserve_bits, 0.0)
                lasting_bps = (low[pair] + spare / STOCK_SPENT_S) / drawn
                # Both directions draw on the same pool.
                capacities[link] = min(capacities[link], lasting_bps / 2 / 1e6)
        return capacities

    def views(self) -> tuple[Forecast, ...]:
        """Return what was expected and what came, for the largest demands and all links."""
        rows, columns = self._topology.pairs
        names = self._topology.names
        largest = np.argsort(-self._demand.expect().values, kind="stable")[:MOST_SHOWN]
        pairs = [(int(k), f"{names[rows[k]]} {names[columns[k]]} demand") for k in sorted(largest)]
        links = [(k, f"{near} {far} secret key") for k, (near, far) in enumerate(self._joined)]
        return tuple(
            self._view("demand", self._demand, place, name, "Mbit/s") for place, name in pairs
        ) + tuple(self._view("key", self._key, place, name, "bit/s") for place, name in links)

    def _view(
        self, kind: str, forecaster: Forecaster, place: int, name: str, unit: str
    ) -> Forecast:
        rows = self._rows[kind]

        def known(column: Iterable[Floats]) -> tuple[float | None, ...]:
            values = (float(forecasts[place]) for forecasts in column)
            return tuple(value if np.isfinite(value) else None for value in values)

        return Forecast(
            name=name,
            unit=unit,
            model=forecaster.expect().models[place],
            times_s=tuple(row.time_s for row in rows),
            expected=known(row.expected for row in rows),
            low=known(row.low for row in rows),
            high=known(row.high for row in rows),
            actual=known(row.actual for row in rows),
        )
