"""`qnx check`: does a driver keep its family's promises, on this instrument?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from qnx_hw.errors import ConfigError, QnxError

if TYPE_CHECKING:
    from qnx_hw.instruments.conformance import Check, Report, Subject

Setting = float | int | str | bool
EXAMPLE = """example:
  qnx check tdc1 serial:///dev/ttyACM0
  qnx check mpc320 tcp://127.0.0.1:8502 --move --faults --json report.json

Without --move nothing moves, is switched or changes its bias: such checks are skipped. With it,
motions stay near the lower end of each axis, a detector's bias within three hundredths of its
range, and a bias source below 1 V.
--faults puts a relay into the wire and breaks it in every way that a wire can break."""
MARKS = {"pass": "ok  ", "fail": "FAIL", "skip": "skip"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = EXAMPLE
    parser.add_argument("driver", metavar="DRIVER", help="which driver, for example tdc1")
    parser.add_argument("url", metavar="URL", help="where the instrument is")
    parser.add_argument(
        "--move", action="store_true", help="allow what moves, switches or changes a bias"
    )
    parser.add_argument(
        "--faults", action="store_true", help="also break the wire under every blocking call"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting to configure first, where the instrument needs it; may be repeated",
    )
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="deadline of a healthy call"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")


def run(arguments: argparse.Namespace) -> int:
    """Check and report; 0 only where something was checked and nothing failed."""
    report = examine(arguments)
    for check in report.checks:
        print(_line(check))
    counts = {kind: sum(check.outcome == kind for check in report.checks) for kind in MARKS}
    print(
        f"{report.driver} at {report.url} ({report.identity or 'did not answer'}): "
        f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped"
    )
    if arguments.json is not None:
        import msgspec

        try:
            arguments.json.write_bytes(msgspec.json.encode(report.as_mapping()) + b"\n")
        except OSError as error:
            raise QnxError(f"cannot write {arguments.json}: {error.strerror}") from error
    return 0 if report.is_passed else 1


def examine(arguments: argparse.Namespace) -> Report:
    """Run the suite and, where asked for, the matrix of faults."""
    from qnx_hw.instruments.conformance import Relay, Report, run, run_drop, run_matrix

    subject = _subject(arguments, arguments.url)
    identity, checks = run(subject)
    shown = f"{identity.maker} {identity.model} {identity.serial}".strip() if identity else ""
    report = Report(arguments.driver, arguments.url, shown, checks)
    if not arguments.faults or identity is None:
        return report
    with Relay(arguments.url) as relay:
        report = report.joined(run_drop(_subject(arguments, relay.url), relay))
        return report.joined(run_matrix(_subject(arguments, relay.url), relay))


def _subject(arguments: argparse.Namespace, url: str) -> Subject:
    from qnx_hw.instruments import registry
    from qnx_hw.instruments.conformance import Patience, Subject

    return Subject(
        url,
        lambda url, recorder: registry.make(
            arguments.driver, url, arguments.driver, recorder=recorder
        ),
        consent=arguments.move,
        settings=dict(map(setting, arguments.set)),
        patience=Patience(usual_s=arguments.timeout),
    )


def setting(text: str) -> tuple[str, Setting]:
    """Read `NAME=VALUE`: true, false, a number, or a word."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"the setting {text!r} is not NAME=VALUE")
    if value.lower() in {"true", "false"}:
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def _line(check: Check) -> str:
    return f"{MARKS[check.outcome]}  {check.name:34} {check.sentence}"
