"""`qnx chaos`: let faults befall a simulated network, and see that nothing that matters breaks."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from qnx_hw.commands.chaos.schedule import Kind

    parser.epilog = (
        "examples:\n  qnx chaos --seed 1 --minutes 10\n"
        "  qnx chaos lab.toml --seed 1 2 3 --minutes 5 --json chaos.json --page reliability.md\n\n"
        "Every node runs as a program of its own, with a wire that can be cut in every connection."
        "\nEnds with status 0 only if every invariant held."
    )
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="network file (default: the example)"
    )
    parser.add_argument(
        "--seed", type=int, nargs="+", default=[1], metavar="N", help="one run for each"
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="of each run after its start")
    parser.add_argument("--faults", type=int, metavar="N", help="end a run after so many faults")
    parser.add_argument(
        "--only", nargs="+", choices=[kind.name.lower() for kind in Kind], help="these kinds alone"
    )
    parser.add_argument(
        "--traffic",
        type=Path,
        metavar="FILE.npz",
        help="replay this file's busiest flows through the tunnels, a step each second",
    )
    parser.add_argument(
        "--screens",
        action="store_true",
        help="have a desktop (without a display) and, where installed, a browser look on",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the reports")
    parser.add_argument("--page", type=Path, metavar="OUT", help="write the page of reliability")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep logs and captured bytes; they hold keys"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run every seed and report."""
    from tempfile import TemporaryDirectory

    import msgspec

    from qnx_hw.commands.chaos import trial
    from qnx_hw.commands.chaos.report import lines, page
    from qnx_hw.commands.chaos.schedule import Kind
    from qnx_hw.commands.demo import DEFAULT_FILE
    from qnx_hw.commands.lifetime import run_async
    from qnx_hw.errors import ConfigError

    if not arguments.minutes > 0:
        raise ConfigError(f"--minutes {arguments.minutes:g} is not above 0")
    kinds = frozenset(Kind[name.upper()] for name in arguments.only or [kind.name for kind in Kind])
    reports = []
    for seed in arguments.seed:
        with TemporaryDirectory(prefix="qnx-chaos-") as made:
            folder = arguments.keep / str(seed) if arguments.keep else Path(made)
            _make(folder)
            wish = trial.Wish(
                file=arguments.file or DEFAULT_FILE,
                seed=seed,
                minutes=arguments.minutes,
                kinds=kinds,
                folder=folder,
                most_faults=arguments.faults,
                traffic=arguments.traffic,
                has_screens=arguments.screens,
            )
            reports.append(run_async(trial.run(wish, lambda line: print(line, flush=True))))
        # After each run, so that one that cannot start costs nothing of the others.
        if arguments.json is not None:
            arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(reports)) + b"\n")
        if arguments.page is not None:
            arguments.page.write_text(page(reports), encoding="utf-8")
    for line in lines(reports):
        print(
            f"{line.kind:22} {line.survived}/{line.count}  median {_s(line.median_s)}  "
            f"99 % {_s(line.p99_s)}"
        )
    broken = [words for report in reports for words in report.broken]
    print("\n".join(broken) if broken else "every invariant held")
    return 0 if all(report.is_good for report in reports) else 1


def _make(folder: Path) -> None:
    from qnx_hw.errors import ConfigError

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise ConfigError(
            f"{folder} holds an earlier run, whose keys would be used again: "
            "remove it, or give another folder to --keep"
        )


def _s(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"
