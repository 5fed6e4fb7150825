"""The command line as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from qnx_hw.cli import COMMANDS, main


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_helps_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert ended.value.code == 0
    assert f"qnx {command}" in capsys.readouterr().out.split("example", 1)[1]


def test_a_result_that_cannot_be_written_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "lab.toml", tmp_path / "none" / "users.json"
    nodes = '[nodes.alice]\nlisten = "127.0.0.1:8471"\n'
    file.write_text(f'[network]\nname = "lab"\ndata_dir = "{tmp_path}"\n{nodes}')

    assert main(["users", "list", str(file), "--json", str(out)]) == 1

    assert f"qnx users: cannot use {out}: No such file or directory" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a full device")
def test_a_full_disk_is_said_in_a_sentence() -> None:
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "qnx_hw", "align", "rehearse", "--settings", "1"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )

    assert ended.returncode == 1
    assert ended.stderr == b"qnx align: cannot use the output: No space left on device\n"


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    recording = tmp_path / "long.ts"
    recording.write_text("".join(f"{count << 10 | 1:016x}\n" for count in range(9000)))
    words = ("tags", "g2", str(recording), "--channels", "1", "1", "--range-ps", "9000000")
    program = subprocess.Popen(
        [sys.executable, "-m", "qnx_hw", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stderr is not None

    program.stdout.readline()
    program.stdout.close()
    said = program.stderr.read()
    program.stderr.close()

    assert program.wait(timeout=120) == 1
    assert said == b""
