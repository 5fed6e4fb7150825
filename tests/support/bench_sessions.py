"""Two sessions that are fed by the simulated bench of a network file, without any wire."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qnx_hw import config
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.node.keeping import session_parameters, station_inputs
from qnx_hw.qkd.parameters import SessionParameters, StationInputs
from qnx_hw.qkd.roles import Role
from sim_devices.physics.bench import Bench

EXAMPLES = Path(__file__).parents[2] / "examples"
SPAN_S = 0.1


def example(name: str) -> dict[str, Any]:
    """Return the parsed example file."""
    return tomllib.loads((EXAMPLES / name).read_text())


def settings(table: dict[str, Any]) -> tuple[SessionParameters, dict[Role, StationInputs]]:
    """Return what the two parties of the file's only link hold."""
    import tomli_w

    network = config.parse(tomli_w.dumps(table))
    ((name, link),) = network.links.items()
    return session_parameters(name, link), {
        role: station_inputs(getattr(link, role.value)) for role in Role
    }


def tag_blocks(bench: Bench, station: str, seconds: float) -> Iterator[TagBlock]:
    """Yield a station's tags, 0.1 s at a time, its clock counted from its first tag."""
    view = bench.station(station)
    origin_ps = start_ps = view.stamp_at(0.0)
    for number in range(1, 1 + round(seconds / SPAN_S)):
        times, inputs = view.take_tags(number * SPAN_S)
        end_ps = view.stamp_at(number * SPAN_S)
        yield TagBlock(times - origin_ps, inputs, start_ps - origin_ps, end_ps - origin_ps)
        start_ps = end_ps
