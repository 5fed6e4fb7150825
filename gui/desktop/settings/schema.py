"""From a JSON Schema and values to groups of typed fields. Opens nothing, draws nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gui.desktop.fields import read_quantity

Path = tuple[str, ...]
Held = Any
"""What a file holds at a place: number, text, truth, list; None where it says nothing."""

UNITS = {
    "ps": "ps", "ns": "ns", "us": "µs", "ms": "ms", "s": "s", "hz": "Hz", "bps": "bit/s",
    "cps": "cps", "bits": "bit", "bytes": "B", "deg": "deg", "v": "V", "mv": "mV", "a": "A",
    "ua": "µA", "ma": "mA", "w": "W", "mw": "mW", "uw": "µW", "db": "dB", "dbm": "dBm",
    "ppm": "ppm", "ppb": "ppb", "c": "°C", "k": "K", "nm": "nm", "rad": "rad",
}  # fmt: skip
UNSEEN = ("bench",)
"""Tables that are not the core's; an editor for them is their owner's."""


class Kind(StrEnum):
    """How a value is typed in."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    SWITCH = "switch"
    CHOICE = "choice"
    LIST = "list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One value: where it stands, what it may be, what it is."""

    path: Path
    kind: Kind
    held: Held = None
    """As the file says; None where it does not."""
    default: Held = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    is_low_open: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    items: tuple[Kind, ...] = ()
    """Kinds of a list's items where it has so many and no more."""
    is_required: bool = False

    @property
    def title(self) -> str:
        """Its name as words, without the unit."""
        words = self.path[-1].split("_")
        if len(words) > 1 and UNITS.get(words[-1]) == self.unit:
            words = words[:-1]
        return " ".join(words)

    @property
    def value(self) -> Held:
        """What holds: the file's word, or the default."""
        return self.default if self.held is None else self.held

    @property
    def limits(self) -> str:
        """What it may be, in words."""
        low = None if self.low is None else self._said(self.low)
        high = None if self.high is None else self._said(self.high)
        if low is not None and high is not None:
            return f"{'above ' if self.is_low_open else ''}{low} to {high}"
        if low is not None:
            return f"{'above' if self.is_low_open else 'from'} {low}"
        return "" if high is None else f"up to {high}"

    def write(self, value: Held) -> str:
        """Return a value as it is typed."""
        if value is None:
            return ""
        if self.kind is Kind.LIST:
            return ", ".join(_plain(each) for each in value)
        if self.kind in (Kind.NUMBER, Kind.INTEGER) and not isinstance(value, bool):
            return f"{_plain(value)} {self.unit}".strip()
        return str(value)

    def read(self, text: str) -> Held:
        """Return what was typed as a value, None where nothing was; ValueError says what is wrong.

        Numbers take the field's unit, another prefix of it, or a prefix alone: `1.4n`, `200 ps`.
        """
        text = text.strip()
        if not text and self.kind is not Kind.TEXT:
            if self.is_required:
                raise ValueError(f"{self.title} needs a value")
            return None
        match self.kind:
            case Kind.LIST:
                return self._read_list(text)
            case Kind.NUMBER | Kind.INTEGER:
                return self._read_number(text)
            case Kind.CHOICE if text not in self.choices:
                raise ValueError(f"'{text}' is none of {', '.join(self.choices)}")
            case Kind.TEXT if self.pattern and not re.search(self.pattern, text):
                raise ValueError(f"'{text}' does not fit: it has to match {self.pattern}")
        return text

    def _read_number(self, text: str) -> float | int:
        value = read_quantity(text, self.unit)
        if self.kind is Kind.INTEGER:
            if abs(value - round(value)) > 1e-6:
                raise ValueError(f"{self.title} is a whole number{self._of_unit()}")
            value = round(value)
        is_low = self.low is not None and (
            value <= self.low if self.is_low_open else value < self.low
        )
        if is_low or (self.high is not None and value > self.high):
            raise ValueError(f"{self._said(value)} is outside {self.limits}")
        return value

    def _read_list(self, text: str) -> list[Held]:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if self.items and len(parts) != len(self.items):
            raise ValueError(f"{self.title} takes {len(self.items)} values with commas between")
        return [_guessed(part) for part in parts]

    def _said(self, value: float) -> str:
        text = f"{value:,.12g}" if abs(value) >= 1 else f"{value:.12g}"
        return f"{text} {self.unit}".strip().replace(",", "\N{NARROW NO-BREAK SPACE}")

    def _of_unit(self) -> str:
        return f" of {self.unit}" if self.unit else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A table of the file: its fields, and the tables in it."""

    path: Path
    words: str = ""
    fields: tuple[Field, ...] = ()
    groups: tuple[Group, ...] = ()

    @property
    def title(self) -> str:
        """The table's own name."""
        return self.path[-1].replace("_", " ") if self.path else "network file"

    def walk(self) -> Iterator[Group]:
        """Yield this group and all below it."""
        yield self
        for group in self.groups:
            yield from group.walk()


def unit_of(name: str) -> str:
    """Return the unit that a name ends with, e.g. `ps` for `coincidence_window_ps`."""
    first, _, last = name.rpartition("_")
    return UNITS.get(last, "") if first else ""


def read_schema(schema: Mapping[str, Any], values: Mapping[str, Any]) -> Group:
    """Return the fields of everything that a file says or may say."""
    definitions = schema.get("$defs", {})
    return _Reader(definitions).group(_resolved(schema, definitions), values, ())


def fields_of(settings: Mapping[str, Held]) -> tuple[Field, ...]:
    """Return fields for plain settings, as an instrument has them: their kind is their value's."""
    return tuple(_plain_field((name,), value) for name, value in settings.items())


class _Reader:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def group(self, schema: Mapping[str, Any], values: Mapping[str, Any], path: Path) -> Group:
        fields: list[Field] = []
        groups: list[Group] = []
        required = schema.get("required", ())
        for name, raw in schema.get("properties", {}).items():
            if not path and name in UNSEEN:
                continue
            inner, here = self._meant(raw), (*path, name)
            if inner.get("type") != "object":
                default = raw.get("default", inner.get("default"))
                fields.append(self._field(inner, here, values.get(name), default, name in required))
            elif "properties" in inner:
                if name in values or not _may_be_null(raw):
                    groups.append(self.group(inner, values.get(name) or {}, here))
            elif group := self._entries(inner, values.get(name) or {}, here):
                groups.append(group)
        words = _words(schema.get("description", ""))
        return Group(path=path, words=words, fields=tuple(fields), groups=tuple(groups))

    def _entries(
        self, schema: Mapping[str, Any], values: Mapping[str, Any], path: Path
    ) -> Group | None:
        """Return a table whose keys are names: each entry is a group, or a field."""
        if not values:
            return None
        inner = self._meant(schema.get("additionalProperties") or {})
        if "properties" not in inner:
            plain = tuple(_plain_field((*path, key), value) for key, value in values.items())
            return Group(path=path, fields=plain)
        groups = tuple(self.group(inner, value, (*path, key)) for key, value in values.items())
        return Group(path=path, groups=groups)

    def _field(
        self, schema: Mapping[str, Any], path: Path, held: Held, default: Held, is_required: bool
    ) -> Field:
        low, open_low = schema.get("minimum"), schema.get("exclusiveMinimum")
        kind = _kind(schema)
        return Field(
            path=path,
            kind=kind,
            held=held,
            default=default,
            unit=unit_of(path[-1]) if kind in (Kind.NUMBER, Kind.INTEGER) else "",
            low=low if low is not None else open_low,
            high=schema.get("maximum", schema.get("exclusiveMaximum")),
            is_low_open=low is None and open_low is not None,
            choices=tuple(str(each) for each in schema.get("enum", ())),
            pattern=schema.get("pattern", ""),
            items=tuple(_kind(self._meant(each)) for each in schema.get("prefixItems", ())),
            is_required=is_required,
        )

    def _meant(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references, and of alternatives take the one that is not null."""
        for branch in schema.get("anyOf", ()):
            if branch.get("type") != "null":
                return _resolved(branch, self._definitions)
        return _resolved(schema, self._definitions)


def _kind(schema: Mapping[str, Any]) -> Kind:
    if "enum" in schema:
        return Kind.CHOICE
    kinds = {"boolean": Kind.SWITCH, "integer": Kind.INTEGER, "array": Kind.LIST}
    return kinds.get(
        str(schema.get("type")), Kind.NUMBER if schema.get("type") == "number" else Kind.TEXT
    )


def _plain_field(path: Path, value: Held) -> Field:
    kind = Kind.TEXT
    if isinstance(value, bool):
        kind = Kind.SWITCH
    elif isinstance(value, int | float):
        kind = Kind.NUMBER
    elif isinstance(value, list | tuple):
        kind = Kind.LIST
    unit = unit_of(path[-1]) if kind is Kind.NUMBER else ""
    return Field(path=path, kind=kind, held=value, unit=unit)


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    return schema


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    return any(branch.get("type") == "null" for branch in schema.get("anyOf", ()))


def _words(description: str) -> str:
    """Return a description's first sentence without the table's name in brackets."""
    first = description.split(". ", maxsplit=1)[0]
    return re.sub(r"^`?\[[^\]]*\]`?(: )?", "", first).replace("`", "")


def _plain(value: Held) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _guessed(text: str) -> Held:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text else number
