"""What is wrong with a network file's tables: which key, what it says, and what it may say.

msgspec names places such as `$.links[...].alice`. Which of several links it means shows when each
is looked at alone: the one whose error is the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from qnx_hw.config.section import ADDRESS_PATTERN, NAME_PATTERN

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
_BOUNDS = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_PATTERNS = {
    ADDRESS_PATTERN: 'an address and port such as "127.0.0.1:8471"',
    NAME_PATTERN: "a name of lower-case letters, digits and hyphens",
}
_MOST_SHOWN = 60


def complaint(
    tables: Mapping[str, Any], kind: type[msgspec.Struct], error: msgspec.ValidationError
) -> tuple[str, str]:
    """Return the place of the first value that does not fit `kind`, and what is wrong there."""
    what, _, where = str(error).partition(" - at ")
    place = _place(tables, kind, error, where.rpartition("`$")[2].rstrip("`"))
    if where.startswith("`key`"):
        place = _with_key(tables, kind, error, place)
        return _dotted(place[:-1]), f"'{place[-1]}' is not {_expected(what)}"
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", what):
        return _dotted((*place, found[1])), _unknown(found[1], _names(kind, place), place)
    if found := re.fullmatch(r"Object missing required field `(.*)`", what):
        return _dotted((*place, found[1])), f"is missing; {_table(place)} needs it"
    return _dotted(place), _wrong(what, _value(tables, place), _type_at(kind, place))


def _wrong(what: str, value: object, kind: inspect.Type | None) -> str:
    """Say what a value is and what it has to be."""
    if what.startswith("Invalid enum value"):
        return f"{_shown(value)} is none of {', '.join(map(_shown, _choices(kind)))}"
    if found := re.fullmatch(r"Expected `array` of length (.*), got (\d+)", what):
        return f"must have {found[1]} entries; it has {found[2]}"
    return f"must be {_expected(what)}, not {_shown(value)}"


def _expected(what: str) -> str:
    if found := re.fullmatch(r"Expected `str` matching regex '(.*)'", what):
        pattern = found[1].replace("\\\\", "\\")
        return _PATTERNS.get(pattern, f"a text like {pattern}")
    if found := re.fullmatch(r"Expected `(.*?)` ([<>]=?) (\S+)", what):
        return f"{_kinds(found[1])} {_bound(found[2], found[3])}"
    if found := re.match(r"Expected `(.*?)`", what):
        return _kinds(found[1])
    return what


def _bound(sign: str, limit: str) -> str:
    return f"{'of ' if '=' in sign else ''}{_BOUNDS[sign]} {limit.removesuffix('.0')}"


def _kinds(names: str) -> str:
    return " or ".join(_KINDS.get(name, name) for name in names.split(" | ") if name != "null")


def _unknown(name: str, known: Sequence[str], place: Sequence[str]) -> str:
    if near := get_close_matches(name, known, n=1):
        return f"there is no such key; did you mean '{near[0]}'?"
    return f"there is no such key; {_table(place)} may have {', '.join(known)}"


def _dotted(place: Sequence[str]) -> str:
    """Write a place as TOML does, with the numbers of a list's entries in brackets."""
    return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in place).lstrip(".")


def _table(place: Sequence[str]) -> str:
    return f"[{_dotted(place)}]" if place else "the file"


def _shown(value: object) -> str:
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
    text = text or (f'"{value}"' if isinstance(value, str) else str(value))
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _place(
    tables: Mapping[str, Any],
    kind: type[msgspec.Struct],
    error: msgspec.ValidationError,
    path: str,
) -> tuple[str, ...]:
    place: tuple[str, ...] = ()
    for name, number in _STEP.findall(path):
        if number == "...":
            place = _with_key(tables, kind, error, place)
        else:
            place = (*place, name or number)
    return place


def _with_key(
    tables: Mapping[str, Any],
    kind: type[msgspec.Struct],
    error: msgspec.ValidationError,
    place: tuple[str, ...],
) -> tuple[str, ...]:
    """Add the key below `place` that alone has the same error."""
    there = _value(tables, place)
    for key in there if isinstance(there, dict) else ():
        try:
            msgspec.convert(_alone(tables, (*place, key)), kind)
        except msgspec.ValidationError as found:
            if str(found) == str(error):
                return (*place, key)
    return (*place, "…")


def _alone(tables: Mapping[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """Return the tables with nothing beside the last key of `place`."""
    first, rest = place[0], place[1:]
    if not rest:
        return {first: tables[first]}
    return {**tables, first: _alone(tables[first], rest)}


def _value(tables: object, place: Sequence[str]) -> object:
    for step in place:
        if isinstance(tables, dict):
            tables = tables.get(step)
        elif isinstance(tables, list) and step.isdigit() and int(step) < len(tables):
            tables = tables[int(step)]
        else:
            return None
    return tables


def _type_at(kind: type[msgspec.Struct], place: Sequence[str]) -> inspect.Type | None:
    """Return what may stand at `place`; None where the walk there is not known."""
    found: inspect.Type | None = inspect.type_info(kind)
    for step in place:
        found = _below(found, step)
    return _bare(found)


def _bare(kind: inspect.Type | None) -> inspect.Type | None:
    """Leave out what a union allows beside tables, lists and choices."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        return next((each for each in kind.types if not isinstance(each, inspect.NoneType)), None)
    return kind


def _below(kind: inspect.Type | None, step: str) -> inspect.Type | None:
    match _bare(kind):
        case inspect.StructType(fields=fields):
            return next((each.type for each in fields if each.encode_name == step), None)
        case inspect.DictType(value_type=below) | inspect.VarTupleType(item_type=below):
            return below
        case inspect.TupleType(item_types=items) if step.isdigit() and int(step) < len(items):
            return items[int(step)]
    return None


def _names(kind: type[msgspec.Struct], place: Sequence[str]) -> list[str]:
    found = _type_at(kind, place)
    if isinstance(found, inspect.StructType):
        return [each.encode_name for each in found.fields]
    return []


def _choices(kind: inspect.Type | None) -> list[object]:
    match kind:
        case inspect.LiteralType(values=values):
            return list(values)
        case inspect.EnumType(cls=cls):
            return [each.value for each in cls]
    return []
