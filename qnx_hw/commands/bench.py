"""`qnx bench SUITE`: run a suite of measurements and show ours beside peers; or `all` of them.

A suite is a module of the repository's folder `benchmarks` with a function `suite()` that returns
or yields `Result`s; it may take minutes. A suite that can be run in parts also has `PARTS`, from
their names to functions like `suite()`.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TypeAlias, cast

import msgspec

from qnx_hw.commands import bench_page
from qnx_hw.commands.measurements import Report, Result, load, machine
from qnx_hw.errors import ConfigError

__all__ = ["Result", "configure", "run", "suites"]

EXAMPLE = """examples:
  qnx bench alignment
  qnx bench alignment --json alignment.json
  qnx bench alignment --part paddles --part recovery
  qnx bench all --page docs/reference/benchmarks.md
  qnx bench all --missing --page docs/reference/benchmarks.md
  qnx bench --page docs/reference/benchmarks.md"""
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
ALL = "all"
SUITE_TIMEOUT_S = 3600.0


Run: TypeAlias = Callable[[], Iterable[Result]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    names = ", ".join(suites()) or "none"
    parser.add_argument(
        "suite", metavar="SUITE", nargs="?", help=f"`{ALL}`, or one of: {names}; may be left out"
    )
    parser.add_argument(
        "--part", action="append", metavar="PART", help="only this part of a long suite; repeatable"
    )
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON")
    parser.add_argument(
        "--folder", metavar="FOLDER", help="where the suites are, where not in the repository"
    )
    parser.add_argument(
        "--page",
        metavar="FILE",
        help="keep each suite's result, and write a page of the last result of every suite",
    )
    parser.add_argument(
        "--missing", action="store_true", help=f"of `{ALL}`, only suites without a kept result"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run what is asked for; results appear as they come."""
    folder = Path(arguments.folder) if arguments.folder is not None else FOLDER
    _check(arguments, folder)
    results, failed = folder / "results", []
    if arguments.suite == ALL:
        known = bench_page.kept(results) if arguments.missing else {}
        missing = [each for each in suites(folder) if each not in known]
        failed = [each for each in missing if not _run_apart(folder, each)]
    elif arguments.suite is not None:
        report = _measured(folder, arguments.suite, arguments.part)
        if arguments.json is not None:
            _write(Path(arguments.json), msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        if arguments.page is not None:
            bench_page.keep(results, arguments.suite, report)
    if arguments.page is not None:
        text = bench_page.page(suites(folder), bench_page.kept(results))
        _write(Path(arguments.page), text.encode())
    if failed:
        raise ConfigError(f"these suites ended without a result: {', '.join(failed)}")
    return 0


def _check(arguments: argparse.Namespace, folder: Path) -> None:
    if arguments.suite is None and arguments.page is None:
        raise ConfigError(
            f"name a suite ({', '.join(suites(folder))}), `{ALL}`, or a --page to write"
        )
    if arguments.suite == ALL and (arguments.page is None or arguments.part or arguments.json):
        raise ConfigError(f"`{ALL}` takes --page FILE, and neither --part nor --json")
    if arguments.missing and arguments.suite != ALL:
        raise ConfigError(f"--missing goes with `{ALL}`")
    if arguments.page is not None and arguments.part:
        raise ConfigError("a page has whole suites: leave --part out")


def _measured(folder: Path, suite: str, parts: list[str] | None) -> Report:
    results: list[Result] = []
    runs = _load(folder, suite, parts)
    begun, before, start_s = datetime.now(UTC), load(), time.monotonic()
    print(f"{'measurement':58}{'value':>12} {'unit':10}{'goal':>10}  {'met':4}peer", flush=True)
    for result in chain.from_iterable(each() for each in runs):
        results.append(result)
        print(_row(result), flush=True)
    return Report(
        machine=machine(),
        results=results,
        begun=f"{begun:%Y-%m-%d %H:%M}",
        lasted_s=round(time.monotonic() - start_s, 1),
        load=before,
    )


def _run_apart(folder: Path, suite: str) -> bool:
    """Run a suite in a process of its own and keep its result; whether it has one.

    A suite that fails leaves its last result, and the others, as they are.
    """
    print(f"\n{suite}", flush=True)
    command = [sys.executable, "-m", "qnx_hw", "bench", suite, "--folder", str(folder)]
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / f"{suite}.json"
        try:
            done = subprocess.run(  # noqa: S603 - ours
                [*command, "--json", str(written)], timeout=SUITE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"{suite} took longer than {SUITE_TIMEOUT_S:g} s", file=sys.stderr)
            return False
        if done.returncode != 0 or not written.exists():
            return False
        report = msgspec.json.decode(written.read_bytes(), type=Report)
    bench_page.keep(folder / "results", suite, report)
    return True


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def suites(folder: Path | None = None) -> list[str]:
    """Return the names of the suites that are in a folder, the repository's where none is named."""
    modules = sorted((folder or FOLDER).glob("*.py"))
    return [each.stem for each in modules if "def suite(" in each.read_text(encoding="utf-8")]


def _load(folder: Path, name: str, parts: list[str] | None) -> list[Run]:
    if name not in suites(folder):
        known = (
            ", ".join(suites(folder)) or "none: they come with the repository, not with the package"
        )
        raise ConfigError(f"there is no suite '{name}'; there are {known}")
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", folder / f"{name}.py")
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
    value, unit = result.said
    return f"{result.name:58}{value:>12} {unit:10}{goal:>10}  {met:4}{peer}".rstrip()
