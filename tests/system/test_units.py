"""The unit files are what systemd takes."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "examples" / "systemd"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_has_nothing_to_say_about_a_unit(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    lines = [
        f"ExecStart={program}" if line.startswith("ExecStart=") else line
        for line in unit.read_text().splitlines()
    ]
    copy = tmp_path / unit.name
    copy.write_text("\n".join(lines) + "\n")

    verdict = subprocess.run(
        ["systemd-analyze", "verify", copy],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )

    # It also speaks of units of the machine that ours name.
    name = unit.stem.rstrip("@")
    assert [line for line in verdict.stderr.splitlines() if name in line] == []
