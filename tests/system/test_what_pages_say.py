"""Every command and every piece of Python on the pages does what it says, on a network of our own.

Names that stand for a user's own, such as `lab.toml`, are replaced by what is there.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w
from documents import PAGES, ROOT, commands_in, python_in
from emulated import emulated
from free_ports import on_free_ports
from programs import program

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(400)]

ELSEWHERE = {
    r"qnx chaos ": "tests/system/test_chaos.py",
    r"qnx demo ": "tests/system/test_demo.py",
    r"qnx emulate ": "tests/commands/test_emulate.py",
    r"qnx (check|capture) voa1 ": "tests/test_example_instrument.py",
    r"qnx align rehearse ": "tests/commands/test_align.py",
    r"qnx keys (init|trust) lab.toml .*--node": "tests/keys/test_init_command.py",
    r"qnx run lab.toml --record": "tests/system/test_replay.py",
    r"qnx replay ": "tests/system/test_replay.py",
    r"qnx distill .*score.json": "tests/commands/test_distill.py",
}
"""Lines that another test runs."""
LINES = sorted({line for page in PAGES for line in commands_in(page.read_text(encoding="utf-8"))})
HERE = [line for line in LINES if not any(re.match(word, line) for word in ELSEWHERE)]
NEEDS_A_RECORDING = [line for line in HERE if line.startswith("qnx tags ")]
NEEDS_A_FILE = [line for line in HERE if line.startswith("qnx users ")]
NEEDS_A_NETWORK = [line for line in HERE if line not in NEEDS_A_RECORDING + NEEDS_A_FILE]
SNIPPETS = {
    str(page.relative_to(ROOT)): code
    for page in PAGES
    for code in python_in(page.read_text(encoding="utf-8"))
}


def qnx(*words: str, typed: str = "") -> str:
    """Run a command to its good end and return what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "qnx_hw", *words],
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, f"{words}: {ran.stdout}{ran.stderr}"
    return ran.stdout


@dataclass(frozen=True, slots=True)
class Lab:
    """A network file with all it needs, and where its node answers."""

    file: Path
    api: str = ""

    def words(self, line: str, folder: Path, key_id: str = "") -> list[str]:
        """Return a documented command with our own names in it, that writes to `folder`."""
        mine = {"FILE": str(self.file), "lab.toml": str(self.file), "KEY_ID": key_id}
        words = [mine.get(word, word) for word in shlex.split(line)[1:]]
        words = [str(self.file) if word == "examples/demo.toml" else word for word in words]
        places = [place + 1 for place, word in enumerate(words) if word == "--out"]
        for place in places:
            words[place] = str(folder / words[place])
        return words


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    table = tomllib.loads((ROOT / "examples" / "demo.toml").read_text(encoding="utf-8"))
    table = on_free_ports(table)
    table["network"]["data_dir"] = str(folder / "data")
    table["links"]["alice-bob"]["block_sifted_bits"] = 30_000
    file = folder / "lab.toml"
    file.write_text(tomli_w.dumps(table), encoding="utf-8")
    for area in ("keys", "pki"):
        qnx(area, "init", str(file))
    return Lab(file, f"http://{table['api']['listen']}")


@pytest.fixture(name="recorded", scope="module")
def _recorded(lab: Lab) -> Path:
    """Return a file of a recording, with a PTU file beside it."""
    with program("sim", str(lab.file)):
        qnx("run", str(lab.file), "--record", "--blocks", "1", "--seconds", "240")
    file = sorted((lab.file.parent / "data" / "recordings").glob("*/alice-tagger-*.parquet"))[0]
    qnx("tags", "export", str(file), "--to", "ptu", "--out", str(file.with_suffix(".ptu")))
    return file


@pytest.fixture(name="running", scope="module")
def _running(lab: Lab, recorded: Path) -> Iterator[Lab]:
    """Have both nodes make key."""
    assert recorded.exists()  # one run at a time uses the folder
    with program("sim", str(lab.file)), program("run", str(lab.file)) as process:
        assert process.stdout is not None
        due = [r"block \d+: \d+ secret bits"] * 2  # with the second one, both ends have the first
        due += [rf"{node}: the key manager of \w+ can be reached" for node in ("alice", "bob")]
        while due:
            line = process.stdout.readline()
            assert line, "the nodes ended by themselves"
            came = next((words for words in due if re.search(words, line)), None)
            if came is not None:
                due.remove(came)
        yield lab


def test_what_runs_elsewhere_is_there() -> None:
    assert [place for place in ELSEWHERE.values() if not (ROOT / place).exists()] == []
    unused = [word for word in ELSEWHERE if not any(re.match(word, line) for line in LINES)]
    assert unused == []


@pytest.mark.parametrize("line", NEEDS_A_FILE)
def test_a_command_for_a_network_file(lab: Lab, line: str, tmp_path: Path) -> None:
    table = tomllib.loads(lab.file.read_text(encoding="utf-8"))
    table["network"]["data_dir"] = str(tmp_path)
    file = tmp_path / "lab.toml"
    file.write_text(tomli_w.dumps(table), encoding="utf-8")

    assert qnx(*Lab(file).words(line, tmp_path), typed="a password of some length\n").strip()


@pytest.mark.parametrize("line", NEEDS_A_NETWORK)
def test_a_command_for_a_running_network(running: Lab, line: str, tmp_path: Path) -> None:
    key_id = ""
    if "KEY_ID" in line:
        got = tmp_path / "got.json"
        words = ("keys", "get", str(running.file), "--as", "sae-alice", "--with", "sae-bob")
        qnx(*words, "--out", str(got))
        key_id = json.loads(got.read_text())["keys"][0]["key_ID"]

    assert qnx(*running.words(line, tmp_path, key_id)).strip()


@pytest.mark.parametrize("page", SNIPPETS)
def test_python_of_a_page(running: Lab, page: str, tmp_path: Path) -> None:
    code = SNIPPETS[page]
    code = re.sub(r'NodeClient\("https.*\)', f'NodeClient("{running.api}")', code)
    code = code.replace("/var/lib/qnx-core", str(tmp_path / "store")).replace(
        'Path("network.toml")', f'Path("{running.file}")'
    )

    with emulated("tdc1") as place:
        code = code.replace("serial:///dev/ttyACM0", place.url)
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert ran.returncode == 0, f"{code}\n{ran.stderr}"


@pytest.mark.parametrize("line", NEEDS_A_RECORDING)
def test_a_command_for_a_recording(lab: Lab, line: str, recorded: Path, tmp_path: Path) -> None:
    words = lab.words(line, tmp_path)
    known = {"measurement.ptu": recorded.with_suffix(".ptu")}
    words = [str(known.get(word, word)) for word in words]
    words = [str(recorded) if word.endswith(".parquet") else word for word in words]

    assert qnx(*words).strip()
