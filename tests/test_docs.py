"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("lock/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))

    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]

    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_command_is_in_the_reference() -> None:
    from qnx_hw.cli import COMMANDS

    reference = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")

    assert [name for name in COMMANDS if f"`qnx {name}" not in reference] == []


def test_every_driver_is_in_the_how_to() -> None:
    from importlib.metadata import entry_points

    page = (ROOT / "docs" / "how-to" / "connect-hardware.md").read_text(encoding="utf-8")

    names = [entry.name for entry in entry_points(group="qnx_hw.drivers")]
    assert [name for name in names if f"`{name}`" not in page] == []
