"""Killed at random points under load, key managers deliver no key twice and lose none they gave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kill_nine import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.system,
    # A peer killed between TCP and TLS: `ssl` raises and leaves the socket to the collector.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
    ),
    pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX"),
]


def test_kill_9_under_load_repeats_and_loses_nothing(tmp_path: Path) -> None:
    seen = run(tmp_path, rounds=4, seed=20261, say=lambda _: None)

    assert seen.wrong == []
    assert seen.kills >= 4
    assert sum(seen.fetched.values()) > 20


def test_kill_9_of_the_ends_and_of_the_node_between_repeats_and_loses_nothing(
    tmp_path: Path,
) -> None:
    seen = run(tmp_path, rounds=3, seed=3, say=lambda _: None, between=("ruth",))

    assert seen.wrong == []
    assert seen.kills >= 3
    assert sum(seen.fetched.values()) > 10
