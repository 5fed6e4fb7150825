"""From a JSON Schema to fields: every value of a file gets one, and typing means what it says."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("PySide6.QtWidgets")

from gui.desktop.settings.schema import Field, Group, Kind, fields_of, read_schema
from qnx_hw.config import NetworkFile

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo.toml"


class Inner(msgspec.Struct):
    """`[inner]`: what is within. More words."""

    delay_ps: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 2000
    share: Annotated[float, msgspec.Meta(gt=0.0, le=1.0)] = 0.5


class Outer(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")]
    kind: Literal["a", "b"] = "a"
    is_on: bool = True
    place: tuple[float, float] = (0.5, 0.5)
    limit_s: float | None = None
    inner: Inner = msgspec.field(default_factory=Inner)
    extra: Inner | None = None
    many: dict[str, Inner] = {}
    plain: dict[str, int | str | bool] = {}
    bench: dict[str, int] = {}


SCHEMA = msgspec.json.schema(Outer)


def field(values: dict[str, object], *path: str) -> Field:
    (found,) = [
        each
        for group in read_schema(SCHEMA, values).walk()
        for each in group.fields
        if each.path == path
    ]
    return found


def test_kinds_units_limits_and_defaults_come_from_the_schema() -> None:
    delay, share = field({}, "inner", "delay_ps"), field({}, "inner", "share")

    assert (delay.kind, delay.unit, delay.title, delay.value) == (Kind.INTEGER, "ps", "delay", 2000)
    assert delay.limits.replace("\N{NARROW NO-BREAK SPACE}", " ") == "10 ps to 1 000 000 ps"
    assert share.limits == "above 0 to 1"
    assert field({}, "kind").choices == ("a", "b")
    assert field({"limit_s": 3}, "limit_s").kind is Kind.NUMBER
    assert field({}, "name").is_required


def test_tables_that_are_not_there_have_no_fields_and_named_ones_do() -> None:
    bare = read_schema(SCHEMA, {"bench": {"seed": 1}})
    full = read_schema(SCHEMA, {"extra": {}, "many": {"x": {}}, "plain": {"bias_v": 2.5}})

    def places(root: Group) -> list[tuple[str, ...]]:
        return [group.path for group in root.walk()]

    assert places(bare) == [(), ("inner",)]
    assert places(full) == [(), ("inner",), ("extra",), ("many",), ("many", "x"), ("plain",)]
    (plain,) = full.groups[-1].fields
    assert (plain.unit, plain.value, plain.title) == ("V", 2.5, "bias")
    assert full.groups[0].words == "what is within"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.4n", 1400), ("200 ps", 200), ("0.002 us", 2000), ("  77 ", 77), ("1e3", 1000)],
)
def test_a_delay_may_be_typed_with_any_prefix(text: str, value: int) -> None:
    read = field({}, "inner", "delay_ps").read(text)

    assert read == value
    assert isinstance(read, int)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (("inner", "delay_ps"), "9", "9 ps is outside 10 ps to"),
        (("inner", "delay_ps"), "2 V", "not a unit of this field"),
        (("inner", "delay_ps"), "20.5", "whole number of ps"),
        (("inner", "delay_ps"), "fast", "not a number"),
        (("inner", "share"), "0", "outside above 0 to 1"),
        (("name",), "Ab1", "has to match"),
        (("name",), "", "has to match"),
        (("kind",), "c", "none of a, b"),
        (("place",), "0.1", "takes 2 values"),
    ],
)
def test_what_cannot_be_is_told_in_words(path: tuple[str, ...], text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        field({}, *path).read(text)


@given(st.integers(10, 1_000_000))
def test_a_written_integer_reads_back(value: int) -> None:
    delay = field({}, "inner", "delay_ps")

    assert delay.read(delay.write(value)) == value


@given(st.floats(1e-9, 1.0))
def test_a_written_number_reads_back(value: float) -> None:
    share = field({}, "inner", "share")

    assert share.read(share.write(value)) == pytest.approx(value, rel=1e-11)


@given(st.lists(st.floats(-1e6, 1e6).map(lambda each: round(each, 3)), min_size=2, max_size=2))
def test_a_written_list_reads_back(values: list[float]) -> None:
    place = field({}, "place")

    assert place.read(place.write(values)) == pytest.approx(values)


def test_nothing_typed_means_the_default() -> None:
    assert field({"limit_s": 3.0}, "limit_s").read("") is None


def test_every_value_of_a_real_file_has_its_field() -> None:
    values = tomllib.loads(EXAMPLE.read_text())
    root = read_schema(msgspec.json.schema(NetworkFile), values)
    found = {each.path: each for group in root.walk() for each in group.fields}

    def said(
        table: dict[str, object], above: tuple[str, ...] = ()
    ) -> dict[tuple[str, ...], object]:
        flat: dict[tuple[str, ...], object] = {}
        for name, value in table.items():
            inner = isinstance(value, dict)
            flat |= said(value, (*above, name)) if inner else {(*above, name): value}
        return flat

    values.pop("bench")
    flat = said(values)
    assert len(flat) > 30
    assert {path: found[path].held for path in flat} == flat
    for path, value in flat.items():
        if found[path].kind is not Kind.SWITCH:
            assert found[path].read(found[path].write(value)) == value


def test_settings_of_an_instrument_have_fields_of_their_own_kind() -> None:
    gated, threshold, mode = fields_of({"is_gated": False, "threshold_v": 0.5, "mode": "free"})

    assert [each.kind for each in (gated, threshold, mode)] == [Kind.SWITCH, Kind.NUMBER, Kind.TEXT]
    assert threshold.read("430m") == pytest.approx(0.43)
