"""`qnx bench SUITE`: run a suite of measurements and show ours beside peers.

A suite is a module of the repository's folder `benchmarks` with a function `suite()` that returns
or yields `Result`s; it may take minutes. A suite that can be run in parts also has `PARTS`, from
their names to functions like `suite()`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from qnx_hw.errors import ConfigError

EXAMPLE = """examples:
  qnx bench alignment
  qnx bench alignment --json alignment.json
  qnx bench alignment --part paddles --part recovery"""
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number; `goal` and the peer's numbers are None where there are none."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    met: bool | None = None
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    """Ours over the peer's."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a suite measured, and on what."""

    machine: dict[str, str | int]
    results: list[Result]


Run: TypeAlias = Callable[[], Iterable[Result]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("suite", metavar="SUITE", help=f"one of: {', '.join(suites()) or 'none'}")
    parser.add_argument(
        "--part", action="append", metavar="PART", help="only this part of a long suite; repeatable"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the suite; results appear as they come."""
    results: list[Result] = []
    runs = _load(arguments.suite, arguments.part)
    print(f"{'measurement':58}{'value':>12} {'unit':10}{'goal':>10}  {'met':4}peer", flush=True)
    for result in chain.from_iterable(each() for each in runs):
        results.append(result)
        print(_row(result), flush=True)
    if arguments.json is not None:
        document = msgspec.json.encode(Report(machine=machine(), results=results))
        try:
            Path(arguments.json).write_bytes(msgspec.json.format(document) + b"\n")
        except OSError as error:
            raise ConfigError(f"cannot write {arguments.json}: {error.strerror}") from error
    return 0


def suites() -> list[str]:
    """Return the names of the suites that are here."""
    modules = sorted(FOLDER.glob("*.py"))
    return [each.stem for each in modules if "def suite(" in each.read_text(encoding="utf-8")]


def machine() -> dict[str, str | int]:
    """Return on what the numbers were measured."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _load(name: str, parts: list[str] | None) -> list[Run]:
    if name not in suites():
        known = ", ".join(suites()) or "none: they come with the repository, not with the package"
        raise ConfigError(f"there is no suite '{name}'; there are {known}")
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its own module up
    spec.loader.exec_module(module)
    # What a suite has is a convention of this folder, as modules have no interfaces.
    if parts is None:
        return [cast("Run", module.suite)]
    known_parts = cast("dict[str, Run]", getattr(module, "PARTS", {}))
    if unknown := [each for each in parts if each not in known_parts]:
        known = f"it has {', '.join(known_parts)}" if known_parts else "it runs as a whole only"
        raise ConfigError(f"suite '{name}' has no part '{unknown[0]}'; {known}")
    return [known_parts[each] for each in parts]


def _row(result: Result) -> str:
    goal = "" if result.goal is None else f"{result.goal:.4g}"
    met = {None: "", True: "yes", False: "NO"}[result.met]
    peer = result.peer or ""
    if result.peer_value is not None:
        peer += f" {result.peer_value:.4g}"
    if result.ratio is not None:
        peer += f" (ratio {result.ratio:.3g})"
    return (
        f"{result.name:58}{result.value:12.4g} {result.unit:10}{goal:>10}  {met:4}{peer}".rstrip()
    )
