"""Change values in a TOML text and leave everything else of it as a person wrote it.

How it thinks: the text is edited line by line on what looks right, then read back. Where it does
not say exactly what was asked, for TOML has many ways to write a thing, it is written anew from its
values; only then are its comments lost.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tomli_w

Path: TypeAlias = tuple[str, ...]
Value: TypeAlias = Any  # of TOML: numbers, strings, lists, tables; None takes the value out


@dataclass(frozen=True, slots=True)
class Edited:
    """A new text."""

    text: str
    is_rewritten: bool
    """Whether comments and order were lost."""


def edit(text: str, changes: Sequence[tuple[Path, Value]]) -> Edited:
    """Return the text with each path set to its value."""
    wanted = tomllib.loads(text)
    lines = text.splitlines()
    for path, value in changes:
        wanted = _with(wanted, path, value)
        lines = _edited(lines, path, wanted, is_removed=value is None)
    result = "\n".join(lines) + "\n"
    try:
        if tomllib.loads(result) == wanted:
            return Edited(result, is_rewritten=False)
    except tomllib.TOMLDecodeError:
        pass
    return Edited(tomli_w.dumps(wanted), is_rewritten=True)


def at(table: Value, path: Path) -> Value:
    """Return what stands at a path, or None."""
    for name in path:
        if not isinstance(table, dict) or name not in table:
            return None
        table = table[name]
    return table


def _with(table: dict[str, Value], path: Path, value: Value) -> dict[str, Value]:
    table = copy.deepcopy(table)
    inner = table
    for name in path[:-1]:
        below = inner.setdefault(name, {})
        if not isinstance(below, dict):
            below = inner[name] = {}
        inner = below
    if value is None:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return table


def _edited(lines: list[str], path: Path, wanted: Value, *, is_removed: bool) -> list[str]:
    keys, ends = _layout(lines)
    for length in range(len(path), 0, -1):
        place = keys.get(path[:length])
        if place is None:
            continue
        first, last = place
        if length == len(path) and is_removed:
            return lines[:first] + lines[last:]
        head = lines[first].partition("=")[0].rstrip()
        value = _inline(at(wanted, path[:length]))
        return [*lines[:first], f"{head} = {value}{_comment(lines[first:last])}", *lines[last:]]
    if is_removed:
        return lines
    line = f"{_key(path[-1:])} = {_inline(at(wanted, path))}"
    if path[:-1] in ends:
        end = ends[path[:-1]]
        return [*lines[:end], line, *lines[end:]]
    return [*lines, "", f"[{_key(path[:-1])}]", line]


def _layout(lines: list[str]) -> tuple[dict[Path, tuple[int, int]], dict[Path, int]]:
    """Return the lines of each key's value, and the line after each table's last value."""
    keys: dict[Path, tuple[int, int]] = {}
    ends: dict[Path, int] = {(): 0}
    table: Path = ()
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        if line.startswith("["):
            table = _path_of(line) or ("",)
            ends[table] = index + 1
        elif line and not line.startswith("#"):
            last = _value_end(lines, index)
            path = _path_of(line.partition("=")[0] + "= 0")
            keys[table + path] = (index, last)
            ends[table] = last
            index = last - 1
        index += 1
    return keys, ends


def _value_end(lines: list[str], first: int) -> int:
    for last in range(first + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[first:last]))
        except tomllib.TOMLDecodeError:
            continue
        return last
    return first + 1


def _comment(lines: list[str]) -> str:
    """Return the comment behind a value that stands on one line, with the space before it."""
    if len(lines) != 1 or "#" not in lines[0]:
        return ""
    whole, line = tomllib.loads(lines[0]), lines[0]
    for index, sign in enumerate(line):
        if sign != "#":
            continue
        try:
            if tomllib.loads(line[:index]) == whole:
                return line[len(line[:index].rstrip()) :]
        except tomllib.TOMLDecodeError:
            continue
    return ""


def _path_of(line: str) -> Path:
    try:
        table: Value = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        ((name, table),) = table.items()
        path.append(name)
    return tuple(path)


def _key(path: Path) -> str:
    return ".".join(
        name
        if name and name.replace("-", "").replace("_", "").isalnum() and name.isascii()
        else tomli_w.dumps({name: 0}).rpartition(" = ")[0]
        for name in path
    )


def _inline(value: Value) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_key((name,))} = {_inline(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(each) for each in value) + "]"
    return tomli_w.dumps({"x": value}).partition(" = ")[2].rstrip("\n")
