"""What the documents point at is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import PAGES, ROOT, commands_in

from qnx_hw.cli import COMMANDS, parse


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))

    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]

    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_command_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if f"`qnx {name}" not in reference] == []


def test_every_driver_is_in_the_how_to() -> None:
    from importlib.metadata import entry_points

    page = (ROOT / "docs" / "how-to" / "connect-hardware.md").read_text(encoding="utf-8")

    names = [entry.name for entry in entry_points(group="qnx_hw.drivers")]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")

    pages = [page.relative_to(ROOT / "docs") for page in ROOT.glob("docs/*/*.md")]
    assert [
        str(page) for page in pages if page.parts[0] != "decisions" and f"]({page})" not in index
    ] == []


def understood(line: str) -> bool:
    """Whether the argument parsers take a command line."""
    words = shlex.split(line)[1:]
    try:
        parse(words)
    except SystemExit as ended:
        return ended.code == 0
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    lines = commands_in(page.read_text(encoding="utf-8"))

    assert [line for line in lines if not understood(line)] == []
    named = re.findall(r"`(?:\.venv/bin/)?qnx ([a-z]+)", page.read_text(encoding="utf-8"))
    assert set(named) <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_it_understands(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert understood(f"qnx {name} --help")

    lines = commands_in(capsys.readouterr().out)
    assert [line for line in lines if not understood(line)] == []
    assert any(line.startswith(f"qnx {name}") for line in lines)


@pytest.mark.slow
def test_the_documents_build_without_a_warning(tmp_path: Path) -> None:
    words = (sys.executable, "-m", "sphinx", "-q", "-W", "-d", tmp_path / "trees")

    ran = subprocess.run(
        [*words, ROOT / "docs", tmp_path / "html"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "html" / "tutorial" / "first-key.html").exists()


def test_every_decision_has_a_number_of_its_own() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))

    numbers = [int(record.name[:4]) for record in records]
    headings = [record.read_text(encoding="utf-8").splitlines()[0] for record in records]
    assert numbers == list(range(1, len(records) + 1))
    assert all(heading.startswith(f"# {n}. ") for n, heading in zip(numbers, headings, strict=True))
