"""One page of what every suite measured last, composed of the results that were kept.

Each suite's last result is a file; so suites are run one by one, on different days or machines, and
the page says of each when and on what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from qnx_hw.commands.measurements import Report, Result
from qnx_hw.errors import ConfigError

HEAD = """# Benchmarks

Written by `qnx bench all --page docs/reference/benchmarks.md` from the last result of every suite;
nothing here is put in by hand. A ratio is ours over the peer's of the same run. A goal that was
missed says NO. Load is the number of processes that ran or waited for a processor in the minute
before: where it is above the number of cores, wall times are bounds, not figures.
"""


def keep(folder: Path, suite: str, report: Report) -> None:
    """Keep a suite's result in place of its last one."""
    path = folder / f"{suite}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
        scratch.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error


def kept(folder: Path) -> dict[str, Report]:
    """Return the last results of all suites that have one."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = msgspec.json.decode(path.read_bytes(), type=Report)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"{path} is no result of a suite: {error}; delete it and run the suite again"
            ) from error
    return found


def page(suites: Sequence[str], reports: Mapping[str, Report]) -> str:
    """Return the page, in Markdown; suites without a result are named as such."""
    machines = list(dict.fromkeys(tuple(reports[each].machine.items()) for each in reports))
    summary = [
        "| suite | begun (UTC) | lasted | machine | load | goals met |",
        "|---|---|---|---|---|---|",
    ]
    for suite in sorted({*suites, *reports}):
        if (report := reports.get(suite)) is None:
            summary.append(f"| `{suite}` | not measured yet | | | | |")
            continue
        place = machines.index(tuple(report.machine.items())) + 1
        load = "" if report.load is None else f"{report.load:g}"
        cells = (report.begun, f"{report.lasted_s:.0f} s", str(place), load, _met(report.results))
        summary.append(f"| [`{suite}`](#{suite}) | {' | '.join(cells)} |")
    parts = [HEAD, "\n".join(summary)]
    parts += [
        f"Machine {place}: " + ", ".join(f"{name} {value}" for name, value in each) + "."
        for place, each in enumerate(machines, start=1)
    ]
    parts += [f"## {suite}\n\n{_table(report.results)}" for suite, report in reports.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _table(results: Sequence[Result]) -> str:
    rows = ["| measurement | ours | goal | met | peer | ratio |", "|---|---|---|---|---|---|"]
    for each in results:
        goal = "" if each.goal is None else f"{each.goal:.4g}"
        met = {None: "", True: "yes", False: "**NO**"}[each.met]
        peer = each.peer or ""
        if each.peer_value is not None:
            peer += f": {each.peer_value:.4g}"
        ratio = "" if each.ratio is None else f"{each.ratio:.3g}"
        cells = (each.name, " ".join(each.said).strip(), goal, met, peer, ratio)
        rows.append(f"| {' | '.join(_plain(cell) for cell in cells)} |")
    return "\n".join(rows)


def _met(results: Sequence[Result]) -> str:
    judged = [each.met for each in results if each.met is not None]
    return f"{sum(judged)} of {len(judged)}" if judged else ""


def _plain(text: str) -> str:
    """Return text that means nothing to Markdown but itself, inside a cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
