"""The table of features names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "reference" / "desktop-features.md"
TESTS = ROOT / "tests" / "gui" / "desktop"
ROW = re.compile(r"^\| (?P<feature>[^|]+) \| `(?P<file>test_\w+\.py)` \| (?P<names>[^|]+) \|$")


def test_each_feature_is_shown_by_tests_that_exist() -> None:
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    rows = [found for line in lines if (found := ROW.match(line))]

    assert len(rows) == sum(line.startswith("| ") for line in lines) - 1
    assert len(rows) >= 22
    for row in rows:
        written = (TESTS / row["file"]).read_text(encoding="utf-8")
        names = re.findall(r"`(\w+)`", row["names"])
        assert names, row["feature"]
        for name in names:
            assert f"def test_{name}(" in written, f"{row['feature']}: {name}"
