"""What every test shares: opt-in marks, and Qt's plugin only where Qt's libraries load."""

from __future__ import annotations

import importlib
import os

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared and noisy: nothing fails for being slow. Who changes the code searches with
# new examples each time; who checks a change of somebody else's gets the same verdict each time.
settings.register_profile(
    "search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("check", settings.get_profile("search"), derandomize=True)
settings.load_profile("check" if os.environ.get("CI") else "search")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
OPT_IN = {"hardware": "--hardware", "foreign": "--foreign"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hardware", action="store_true", help="run tests on real instruments")
    parser.addoption("--foreign", action="store_true", help="run other people's drivers")


def pytest_configure(config: pytest.Config) -> None:
    """Register pytest-qt here: it ends the whole run where Qt's system libraries are missing."""
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError:
        return
    plugin = importlib.import_module("pytestqt.plugin")
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "qt-plugin")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for mark, option in OPT_IN.items():
            if item.get_closest_marker(mark) and not config.getoption(option):
                item.add_marker(pytest.mark.skip(reason=f"opt in with {option}"))
