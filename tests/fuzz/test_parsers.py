"""Bytes that a parser was not made for are refused in words, and never do anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_targets import TARGETS, kept, seeds_of, try_out
from hypothesis import given, settings
from hypothesis import strategies as st

LONG_RUN = Path(__file__).with_name("long_run.py")
IN_A_CHILD = {"archive"}
"""What native code reads: a crash must not take the tests along."""


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_good_inputs_are_read_and_kept_ones_read_or_refused(name: str) -> None:
    for octets in kept(name):
        try_out(name, octets)

    assert any(try_out(name, octets) for octets in TARGETS[name].seeds())


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - IN_A_CHILD))
@settings(max_examples=40, derandomize=True, database=None)
@given(draw=st.data())
def test_changed_bytes_are_read_or_refused(name: str, draw: st.DataObject) -> None:
    octets = bytearray(draw.draw(st.sampled_from(seeds_of(name))))
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(octets)))
        taken = draw.draw(st.integers(0, 8))
        octets[at : at + taken] = draw.draw(st.binary(max_size=8))

    assert try_out(name, bytes(octets)) == try_out(name, bytes(octets))


@pytest.mark.parametrize("name", sorted(TARGETS.keys() - IN_A_CHILD))
@settings(max_examples=20, derandomize=True, database=None)
@given(octets=st.binary(max_size=200))
def test_noise_is_read_or_refused(name: str, octets: bytes) -> None:
    assert try_out(name, octets) == try_out(name, octets)


@pytest.mark.slow
def test_damaged_parquet_files_crash_no_process() -> None:
    ran = subprocess.run(
        [sys.executable, str(LONG_RUN), "--target", "archive", "--tries", "1500"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )

    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert "1500 inputs" in ran.stdout
