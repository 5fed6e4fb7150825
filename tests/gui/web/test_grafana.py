"""The Grafana dashboard asks for metrics that a node has."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sample_network import sample_network
from served_api import Site, served

from qnx_hw.node import metrics

DASHBOARD = Path(__file__).parents[3] / "examples" / "grafana.json"


def test_panels_do_not_overlap_and_ask_prometheus() -> None:
    board = json.loads(DASHBOARD.read_text())
    taken = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in board["panels"]
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert all(panel["targets"] for panel in board["panels"])


def test_every_metric_of_it_is_served() -> None:
    with served(Site(snapshot=sample_network())) as api:
        text = metrics.text(api.hub)

    asked = set(re.findall(r"qnx_\w+", DASHBOARD.read_text()))
    assert len(asked) > 8
    assert asked <= set(re.findall(r"^(qnx_\w+)", text, re.M))
