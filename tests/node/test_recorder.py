"""What goes through a feed is recorded, gap by gap, and runs again as it was."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import numpy as np
import pulsed_link
import pytest
from bench_sessions import EXAMPLES

from qnx_hw import config
from qnx_hw.errors import RecordingError
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.node.recorder import Description, Recorder
from qnx_hw.node.recordings import StoredRecording, finished
from qnx_hw.node.replay import Pace, ReplayBank
from qnx_hw.node.scores import score_of
from qnx_hw.node.tags import TagFeed
from qnx_hw.qkd.session import Transmit
from qnx_hw.secret import Secret
from qnx_hw.timing.archive import Origin

ABOUT = Description(
    network_file="", nodes=("alice",), started_s=1.0, versions={}, is_simulated=True
)
MS = 1_000_000_000


def block(number: int, *, tags: int = 3, lost: int = 0) -> TagBlock:
    start_ps = number * MS
    times_ps = start_ps + np.arange(tags, dtype=np.int64)
    return TagBlock(times_ps, np.full(tags, 2, np.uint8), start_ps, start_ps + MS, lost)


def values(seen: TagBlock) -> tuple[object, ...]:
    return (seen.times_ps.tolist(), seen.start_ps, seen.end_ps, seen.lost, seen.overflow)


def origin() -> Origin:
    return Origin(node="alice", instrument="tagger", model="TDC1", serial="7")


def test_what_a_feed_delivers_is_on_the_disk(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", ABOUT)
    feed = TagFeed((1, 2))
    feed.tap = recorder.tap("alice", "tagger", origin)
    blocks = [block(0), block(1, lost=2), block(2, tags=0)]
    for each in blocks:
        feed.deliver(each)
    view = recorder.close()

    stored = StoredRecording.open(tmp_path / "run")
    assert [values(b) for b in stored.blocks("alice", "tagger")] == [values(b) for b in blocks]
    assert stored.origin("alice", "tagger").serial == "7"
    assert (view.tags, view.gaps, view.instruments) == (6, 1, ("alice tagger",))
    assert [found.name for found in finished(tmp_path)] == ["run"]
    modes = {stat.S_IMODE(file.stat().st_mode) for file in stored.folder.iterdir()}
    assert modes == {0o600}


def test_what_is_played_for_each_session_is_on_the_disk_and_replayed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", ABOUT)
    for number in (1, 2):
        asked = Transmit(Secret(bytes([number]) * 32), bytes(16), pulsed_link.TWO_DECOYS)
        recorder.score("alice", "transmitter", score_of(asked))
    recorder.close()
    recording = StoredRecording.open(tmp_path / "run")
    bank = ReplayBank(
        config.load(EXAMPLES / "decoy-bb84.toml"),
        "alice",
        {},
        lambda *_: None,
        recording=recording,
        pace=Pace(1.0),
    )

    scores = [bank.score("transmitter"), bank.score("transmitter")]

    assert [score and score.seed.reveal() for score in scores] == [b"\1" * 32, b"\2" * 32]
    modes = {stat.S_IMODE(file.stat().st_mode) for file in recording.folder.iterdir()}
    assert modes == {0o600}
    with pytest.raises(RecordingError, match="no further score of alice transmitter"):
        bank.score("transmitter")


def test_an_interruption_is_a_gap_in_front_of_the_next_block(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", ABOUT)
    feed = TagFeed((1, 2))
    feed.tap = recorder.tap("alice", "tagger", origin)
    feed.deliver(block(0))
    feed.interrupt("the wire was cut")
    feed.deliver(block(5))
    recorder.close()

    stored = list(StoredRecording.open(tmp_path / "run").blocks("alice", "tagger"))
    assert [(b.start_ps, b.end_ps, b.lost) for b in stored] == [
        (0, MS, 0),
        (MS, 5 * MS, UNKNOWN_LOSS),
        (5 * MS, 6 * MS, 0),
    ]


def test_a_long_recording_has_several_files_in_order(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run", ABOUT, part_ps=2 * MS)
    tap = recorder.tap("alice", "tagger", origin)
    for number in range(7):
        tap.deliver(block(number))
    recorder.close()

    stored = StoredRecording.open(tmp_path / "run")
    assert len(stored.parts("alice", "tagger")) == 4
    assert [b.start_ps for b in stored.blocks("alice", "tagger")] == [n * MS for n in range(7)]


def test_a_second_recording_of_the_same_name_is_refused(tmp_path: Path) -> None:
    Recorder(tmp_path / "run", ABOUT).close()

    with pytest.raises(RecordingError, match="cannot record into"):
        Recorder(tmp_path / "run", ABOUT)


def test_a_folder_without_a_description_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no recording"):
        StoredRecording.open(tmp_path)


def test_the_replay_starts_when_every_feed_is_heard() -> None:
    async def scenario() -> tuple[bool, list[str]]:
        pace = Pace(1_000.0)
        feeds = {name: TagFeed((1,)) for name in ("alice", "bob")}
        for name, feed in feeds.items():
            pace.join(name, feed)
        passed: list[str] = []

        async def play(name: str) -> None:
            await pace.reach(name, MS)
            passed.append(name)
            pace.leave(name)

        async def hear(feed: TagFeed) -> None:
            async for _ in feed.blocks():
                raise AssertionError("nothing is delivered here")

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(play("alice"))
            tasks.create_task(play("bob"))
            listeners = [tasks.create_task(hear(feeds["alice"]))]
            for _ in range(20):  # turns of the loop: all that can go on has gone on
                await asyncio.sleep(0)
            early = bool(passed)
            listeners.append(tasks.create_task(hear(feeds["bob"])))
            async with asyncio.timeout(120):
                await pace.finished.wait()
            for listener in listeners:
                listener.cancel()
        return early, sorted(passed)

    assert asyncio.run(scenario()) == (False, ["alice", "bob"])
