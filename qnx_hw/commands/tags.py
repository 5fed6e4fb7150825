"""`qnx tags`: look into recordings of time tags."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qnx_hw.errors import QnxError, RecordingError
from qnx_hw.timing.recordings import SYNC_CHANNEL, Format, Recording, read, to_csv, to_ptu

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PS = 1e-12
_WINDOW_BINS = 4
"""Bins of the search for a pair's delay that make up one coincidence window."""


class ChannelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of a recording."""

    channel: int
    """The file's own number; 255 stands for the sync input of a T2 recording."""
    tags: int
    rate_cps: float | None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording holds."""

    file: str
    format: str
    tags: int
    records: int
    overflows: int
    markers: int
    backward_steps: int
    first_ps: int | None
    last_ps: int | None
    duration_s: float
    resolution_ps: float
    sync_rate_hz: float | None
    channels: tuple[ChannelSummary, ...]
    details: dict[str, str]


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """Normalised second-order correlation of two channels: 1 where they are independent."""

    file: str
    start: int
    stop: int
    bin_ps: int
    delays_ps: tuple[int, ...]
    """Middle of each bin."""
    counts: tuple[int, ...]
    g2: tuple[float, ...]


class PairSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How two channels coincide."""

    start: int
    stop: int
    delay_ps: float
    """Where most pairs lie: how much later `stop` clicks than `start`."""
    pairs: int
    """Pairs within the window around that delay."""
    accidentals: float
    """Pairs that chance alone would give."""
    car: float | None


class Coincidences(msgspec.Struct, frozen=True, kw_only=True):
    """All channel pairs of a recording."""

    file: str
    window_ps: int
    pairs: tuple[PairSummary, ...]


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = (
        "examples:\n  qnx tags info measurement.ptu\n"
        "  qnx tags g2 measurement.ptu --channels 0 1 --bin-ps 100 --range-ps 50000\n"
        "  qnx tags pairs measurement.ptu --window-ps 1000\n"
        "  qnx tags export alice-tagger-00001.parquet --to ptu --out alice.ptu"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recording")
    shared.add_argument("--format", choices=list(Format), help="kind of file, where it is not seen")
    shared.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    actions.add_parser("info", parents=[shared], help="what a recording holds")
    g2 = actions.add_parser("g2", parents=[shared], help="correlation of two channels over delay")
    g2.add_argument("--channels", type=int, nargs=2, metavar=("START", "STOP"), required=True)
    g2.add_argument("--bin-ps", type=_positive, default=100, help="width of a bin (default 100)")
    g2.add_argument("--range-ps", type=_positive, default=10_000, help="largest delay, both ways")
    pairs = actions.add_parser("pairs", parents=[shared], help="coincidences of all channel pairs")
    pairs.add_argument(
        "--window-ps", type=_positive, default=1_000, help="full width of the window"
    )
    pairs.add_argument(
        "--range-ps", type=_positive, default=1_000_000, help="largest delay searched"
    )
    exporting = actions.add_parser("export", help="write a recording for another program")
    exporting.add_argument("file", type=Path, metavar="FILE", help="recording of any known kind")
    exporting.add_argument("--format", choices=list(Format), help="its kind, where it is not seen")
    exporting.add_argument("--to", choices=("ptu", "csv"), required=True, help="kind to write")
    exporting.add_argument("--out", type=Path, required=True, metavar="OUT", help="where to")


def run(arguments: argparse.Namespace) -> int:
    """Read every file, print what was asked, and write it as JSON where wanted."""
    if arguments.action == "export":
        return export(arguments)
    results = [_examine(path, arguments) for path in arguments.files]
    for number, result in enumerate(results):
        if number:
            print()
        print("\n".join(_lines(result)))
    if arguments.json is not None:
        content = msgspec.json.encode(results[0] if len(results) == 1 else results)
        try:
            arguments.json.write_bytes(msgspec.json.format(content) + b"\n")
        except OSError as error:
            raise QnxError(f"cannot write {arguments.json}: {error.strerror}") from error
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Write a recording's tags as another kind of file; times count from its first tag."""
    recording = _load(arguments.file, arguments.format)
    times_ps = recording.times_ps - recording.times_ps[:1].sum()
    try:
        if arguments.to == "ptu":
            arguments.out.write_bytes(to_ptu(times_ps, recording.channels))
        else:
            with arguments.out.open("w", encoding="ascii") as sink:
                sink.writelines(to_csv(times_ps, recording.channels))
    except OSError as error:
        raise QnxError(f"cannot write {arguments.out}: {error.strerror}") from error
    print(f"{arguments.out}: {times_ps.size:,} tags")
    return 0


def _load(path: Path, kind: str | None) -> Recording:
    try:
        return read(path.read_bytes(), Format(kind) if kind else None)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from error


def _examine(path: Path, arguments: argparse.Namespace) -> Summary | Correlation | Coincidences:
    recording = _load(path, arguments.format)
    if arguments.action == "info":
        return summarise(path.name, recording)
    if arguments.action == "g2":
        start, stop = arguments.channels
        for channel in (start, stop):
            if channel not in recording.counts():
                have = ", ".join(map(str, recording.counts())) or "none"
                raise RecordingError(f"{path}: no tags on channel {channel}; it has {have}")
        return correlate(path.name, recording, (start, stop), arguments.bin_ps, arguments.range_ps)
    return coincidences(path.name, recording, arguments.window_ps, arguments.range_ps)


def summarise(name: str, recording: Recording) -> Summary:
    """Count what is in a recording."""
    duration_s = recording.duration_s
    times = recording.times_ps
    return Summary(
        file=name,
        format=recording.format,
        tags=int(times.size),
        records=recording.records,
        overflows=recording.overflows,
        markers=recording.markers,
        backward_steps=recording.backward_steps,
        first_ps=int(times[0]) if times.size else None,
        last_ps=int(times[-1]) if times.size else None,
        duration_s=duration_s,
        resolution_ps=recording.resolution_ps,
        sync_rate_hz=recording.sync.rate_hz if recording.sync else None,
        channels=tuple(
            ChannelSummary(
                channel=channel, tags=count, rate_cps=count / duration_s if duration_s else None
            )
            for channel, count in sorted(recording.counts().items())
        ),
        details=dict(recording.details),
    )


def correlate(
    name: str, recording: Recording, channels: tuple[int, int], bin_ps: int, range_ps: int
) -> Correlation:
    """Histogram the delays from `start` to `stop` and divide by what chance gives."""
    from qnx_hw.timing import histogram

    start, stop = (_since_start(recording, channel) for channel in channels)
    bins = 2 * max(1, range_ps // bin_ps)
    first_ps = -(bins // 2) * bin_ps
    counts = histogram.delays(start, stop, start_ps=first_ps, bin_ps=bin_ps, n_bins=bins)
    if channels[0] == channels[1]:
        counts[bins // 2] -= start.size  # every tag is at no delay from itself
    spanned_ps = max(1, round(recording.duration_s / PS))
    g2 = histogram.g2(
        counts, bin_ps=bin_ps, clicks_a=start.size, clicks_b=stop.size, duration_ps=spanned_ps
    )
    return Correlation(
        file=name,
        start=channels[0],
        stop=channels[1],
        bin_ps=bin_ps,
        delays_ps=tuple(first_ps + bin_ps * index + bin_ps // 2 for index in range(bins)),
        counts=tuple(counts.tolist()),
        g2=tuple(g2.tolist()),
    )


def coincidences(name: str, recording: Recording, window_ps: int, range_ps: int) -> Coincidences:
    """Find each channel pair's delay, and count its pairs around it."""
    import numpy as np

    from qnx_hw.timing import histogram

    found = []
    bin_ps = max(1, window_ps // _WINDOW_BINS)
    bins = 2 * (range_ps // bin_ps + _WINDOW_BINS)
    first_ps = -(bins // 2) * bin_ps
    for first, second in combinations(sorted(recording.counts()), 2):
        start, stop = (_since_start(recording, channel) for channel in (first, second))
        coarse = histogram.delays(start, stop, start_ps=first_ps, bin_ps=bin_ps, n_bins=bins)
        # The sum over a window's width is largest where the window belongs.
        summed = np.convolve(coarse, np.ones(_WINDOW_BINS, dtype=np.int64), mode="valid")
        low_ps = first_ps + int(np.argmax(summed)) * bin_ps
        inside = histogram.delays(start, stop, start_ps=low_ps, bin_ps=window_ps, n_bins=1)
        count = int(inside[0])
        chance = start.size * stop.size * window_ps * PS / max(recording.duration_s, PS)
        found.append(
            PairSummary(
                start=first,
                stop=second,
                delay_ps=low_ps + window_ps / 2,
                pairs=count,
                accidentals=chance,
                car=(count - chance) / chance if chance else None,
            )
        )
    return Coincidences(file=name, window_ps=window_ps, pairs=tuple(found))


def _since_start(recording: Recording, channel: int) -> npt.NDArray[np.int64]:
    """Return a channel's times from the first tag of the file on; its clock may run for years."""
    times_ps: npt.NDArray[np.int64] = recording.of_channel(channel) - recording.times_ps[0]
    return times_ps


def _lines(result: Summary | Correlation | Coincidences) -> Iterator[str]:
    if isinstance(result, Summary):
        return _summary_lines(result)
    if isinstance(result, Correlation):
        return _correlation_lines(result)
    return _pair_lines(result)


def _summary_lines(summary: Summary) -> Iterator[str]:
    yield f"{summary.file}: {summary.format}"
    yield f"  {summary.tags:,} tags in {summary.records:,} records over {summary.duration_s:.6f} s"
    yield f"  resolution {summary.resolution_ps:g} ps, first tag at {summary.first_ps} ps"
    if summary.sync_rate_hz is not None:
        yield f"  sync {summary.sync_rate_hz / 1e6:.6f} MHz"
    yield (
        f"  {summary.overflows:,} overflow records, {summary.markers:,} markers, "
        f"{summary.backward_steps:,} backward steps"
    )
    for channel in summary.channels:
        label = "sync" if channel.channel == SYNC_CHANNEL else f"ch{channel.channel}"
        rate = "" if channel.rate_cps is None else f"  {channel.rate_cps:,.1f} cps"
        yield f"  {label:<5} {channel.tags:>12,} tags{rate}"
    for name, value in summary.details.items():
        yield f"  {name}: {value}"


def _correlation_lines(result: Correlation) -> Iterator[str]:
    yield f"{result.file}: g2 of channels {result.start} and {result.stop}, {result.bin_ps} ps bins"
    peak = max(range(len(result.g2)), key=result.g2.__getitem__)
    yield f"  largest g2 {result.g2[peak]:.4f} at {result.delays_ps[peak]} ps"
    yield f"  {'delay_ps':>12} {'counts':>10} {'g2':>10}"
    for delay, count, g2 in zip(result.delays_ps, result.counts, result.g2, strict=True):
        yield f"  {delay:>12} {count:>10} {g2:>10.4f}"


def _pair_lines(result: Coincidences) -> Iterator[str]:
    yield f"{result.file}: coincidences in a window of {result.window_ps} ps"
    yield f"  {'start':>5} {'stop':>5} {'delay_ps':>14} {'pairs':>10} {'by chance':>12} {'CAR':>9}"
    for pair in result.pairs:
        car = "–" if pair.car is None else f"{pair.car:.2f}"
        yield (
            f"  {pair.start:>5} {pair.stop:>5} {pair.delay_ps:>14.0f} {pair.pairs:>10,} "
            f"{pair.accidentals:>12.1f} {car:>9}"
        )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no whole number above zero")
    return int(text)
