"""What a node process keeps for its screens: who may come in, the audit, a month of history."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

from starlette.routing import BaseRoute

from qnx_hw.config import NetworkFile
from qnx_hw.errors import ConfigError


def console_folder(network: NetworkFile, names: Sequence[str] | None = None) -> Path:
    """Return the folder of the process that hosts the nodes `names`; of all where not given."""
    for name in names or ():
        if name not in network.nodes:
            known = ", ".join(network.nodes)
            raise ConfigError(f"there is no node '{name}' in the network file; it has {known}")
    is_alone = names is not None and set(names) != set(network.nodes)
    folder = "-".join(["console", *(sorted(names or ()) if is_alone else ())])
    return Path(network.network.data_dir) / folder


def dashboard_pages() -> list[BaseRoute]:
    """Return the pages of every dashboard that is installed."""
    points = sorted(entry_points(group="qnx_hw.dashboards"), key=lambda point: point.name)
    return [route for point in points for route in point.load()()]
