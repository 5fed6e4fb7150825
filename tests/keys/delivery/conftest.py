"""Certificates that all tests of key delivery share: making them takes longer than a test."""

from __future__ import annotations

import pytest
from key_sites import certified

from qnx_hw.config import NetworkFile


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> NetworkFile:
    return certified(tmp_path_factory.mktemp("pki"))
