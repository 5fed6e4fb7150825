"""Every call that talks to an instrument has a deadline in its signature."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points

import pytest

from qnx_hw.instruments import families, registry
from qnx_hw.instruments.values import Family

# A close makes safe what it leaves and a stop overtakes all: they have deadlines of their own.
WITHOUT = {"close", "stop", "status"}
FACTORIES = {entry.name: entry for entry in entry_points(group=registry.GROUP)}


def calls(kind: type) -> dict[str, inspect.Signature]:
    found = inspect.getmembers(kind, inspect.isfunction)
    return {name: inspect.signature(call) for name, call in found if not name.startswith("_")}


def interfaces() -> list[type]:
    kinds = [kind for _, kind in inspect.getmembers(families, inspect.isclass)]
    return [kind for kind in kinds if isinstance(getattr(kind, "family", None), Family)]


@pytest.mark.parametrize(
    "kind", [families.TagStream, *interfaces()], ids=lambda kind: kind.__name__
)
def test_a_familys_calls_have_deadlines(kind: type) -> None:
    without = {name for name, call in calls(kind).items() if "timeout_s" not in call.parameters}

    assert without <= WITHOUT


@pytest.mark.parametrize("driver", FACTORIES)
def test_a_drivers_calls_have_deadlines(driver: str) -> None:
    made = FACTORIES[driver].load()
    kind = made if inspect.isclass(made) else type(registry.make(driver, "tcp://127.0.0.1:9", "x"))

    own = {
        name: call
        for name, call in calls(kind).items()
        if "timeout_s" not in call.parameters and name not in WITHOUT
    }
    assert not own
