"""Values change; what a person wrote around them stays."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.config.editing import at, edit

EXAMPLE = (Path(__file__).parents[2] / "examples" / "demo.toml").read_text()
WINDOW = ("links", "alice-bob", "coincidence_window_ps")

names = st.text("ab-", min_size=1, max_size=3) | st.sampled_from(["x y", "é", ""])
values = st.integers(-99, 99) | st.booleans() | st.text("a'\"#\\\n=[]", max_size=6)
tables = st.recursive(
    values | st.lists(st.integers(0, 9), max_size=3),
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


def test_a_value_changes_and_its_comment_stays() -> None:
    edited = edit(EXAMPLE, [(WINDOW, 4000)])

    assert "coincidence_window_ps = 4000      # the TDC1 rounds to 2 ns" in edited.text
    changed = [
        pair
        for pair in zip(EXAMPLE.splitlines(), edited.text.splitlines(), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    assert not edited.is_rewritten


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("links", "alice-bob", "autostart"), False),
        (("links", "alice-bob", "security", "qber_limit"), 0.05),
        (("nodes", "alice", "instruments", "detectors", "settings", "enabled"), False),
        (("nodes", "alice", "instruments", "tagger", "settings", "threshold_v"), 0.4),
        (("nodes", "alice", "position"), [0.5, 0.5]),
        (("api", "listen"), None),
        (("links", "alice-bob", "alice", "channels", "H"), 5),
    ],
    ids=lambda each: ".".join(each) if isinstance(each, tuple) else str(each),
)
def test_every_way_to_write_a_table_is_edited_in_place(path: tuple[str, ...], value: Any) -> None:
    edited = edit(EXAMPLE, [(path, value)])

    assert at(tomllib.loads(edited.text), path) == value
    assert not edited.is_rewritten
    assert "# the TDC1 rounds to 2 ns" in edited.text


@given(st.dictionaries(names, tables, max_size=4), st.lists(names, min_size=1, max_size=3), values)
def test_the_text_says_what_was_asked_and_nothing_else(
    table: dict[str, Any], path: list[str], value: Any
) -> None:
    edited = edit(tomli_w.dumps(table), [(tuple(path), value)])

    after = tomllib.loads(edited.text)
    assert at(after, tuple(path)) == value
    again = edit(edited.text, [(tuple(path), at(table, tuple(path)))])
    untouched = {name: inner for name, inner in table.items() if name != path[0]}
    assert {n: i for n, i in tomllib.loads(again.text).items() if n != path[0]} == untouched
