"""Processes that share a cache of kernels compile one after the other."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qnx_hw.node.compiler_lock import taken

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")

DEADLINE_S = 120.0


@pytest.mark.parametrize("alone", [True, False])
def test_nobody_goes_on_while_another_compiles(tmp_path: Path, alone: bool) -> None:
    with (
        taken(tmp_path, alone=True, deadline_s=DEADLINE_S) as first,
        taken(tmp_path, alone=alone, deadline_s=0.0) as second,
    ):
        assert (first, second) == (True, False)

    with taken(tmp_path, alone=alone, deadline_s=DEADLINE_S) as later:
        assert later


def test_those_that_only_load_do_so_together(tmp_path: Path) -> None:
    with (
        taken(tmp_path, alone=False, deadline_s=DEADLINE_S) as first,
        taken(tmp_path, alone=False, deadline_s=DEADLINE_S) as second,
        taken(tmp_path, alone=True, deadline_s=0.0) as compiling,
    ):
        assert (first, second, compiling) == (True, True, False)


def test_where_no_lock_can_be_all_goes_on(tmp_path: Path) -> None:
    with taken(tmp_path / "nowhere", alone=True, deadline_s=DEADLINE_S) as held:
        assert not held
