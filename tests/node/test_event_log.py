"""Events outlive the process: what was told, who acknowledged it, and how it is counted."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from qnx_hw.api.schema import Level
from qnx_hw.node.event_log import EventLog
from qnx_hw.node.event_ring import RING_EVENTS
from qnx_hw.node.state import Hub


def hub() -> Hub:
    return Hub("net", is_simulated=True)


def test_a_restart_forgets_neither_alarms_nor_who_saw_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = hub()
        log = EventLog(tmp_path / "console" / "events.sqlite", before)
        alarm = before.tell(Level.ALARM, "alice-bob", "QBER 12 %")
        await log.flush()
        before.tell(Level.INFO, "alice", "said just before the end")
        before.acknowledge(alarm.number, by="eva")
        await log.close()

        after = hub()
        log = EventLog(tmp_path / "console" / "events.sqlite", after)
        new = after.tell(Level.OK, "bob", "is back")
        await log.close()

        assert after.snapshot().events == (*before.snapshot().events, new)
        assert after.snapshot().events[0].acknowledged_by == "eva"
        assert new.number == 3
        assert after.acknowledge(alarm.number, by="tom") is not None

    asyncio.run(scenario())


def test_more_than_the_ring_is_kept_and_the_newest_are_shown(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = hub()
        log = EventLog(tmp_path / "events.sqlite", first)
        for number in range(RING_EVENTS + 20):
            first.tell(Level.INFO, "bob", f"{number}")
            if number % 100 == 0:
                await log.flush()
        await log.close()
        second = hub()
        await EventLog(tmp_path / "events.sqlite", second).close()

        events = second.snapshot().events
        assert [event.message for event in events] == [f"{n}" for n in range(20, RING_EVENTS + 20)]
        with sqlite3.connect(tmp_path / "events.sqlite") as file:
            assert file.execute("SELECT count(*) FROM events").fetchone() == (RING_EVENTS + 20,)
        file.close()

    asyncio.run(scenario())


def test_a_trouble_that_lasts_outlives_all_newer_events_and_is_cleared_by_a_later_process(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        first = hub()
        log = EventLog(tmp_path / "events.sqlite", first)
        first.tell(Level.ALARM, "bob tagger", "lost", "connection")
        first.tell(Level.ALARM, "bob", "not to be told over")
        await log.flush()
        for number in range(RING_EVENTS):
            first.tell(Level.INFO, "bob", f"{number}")
        await log.close()
        second = hub()
        log = EventLog(tmp_path / "events.sqlite", second)
        standing = second.snapshot().events[0]
        second.tell(Level.OK, "bob tagger", "connected", "connection")
        await log.close()
        third = hub()
        await EventLog(tmp_path / "events.sqlite", third).close()

        assert (standing.message, standing.is_open) == ("lost", True)
        assert not any(event.is_standing for event in third.snapshot().events)

    asyncio.run(scenario())


def test_a_damaged_entry_costs_itself_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        first = hub()
        log = EventLog(tmp_path / "events.sqlite", first)
        for words in ("one", "two"):
            first.tell(Level.INFO, "bob", words)
        await log.close()
        file = sqlite3.connect(tmp_path / "events.sqlite")
        file.execute("UPDATE events SET content = '{' WHERE number = 1")
        file.commit()
        file.close()
        second = hub()
        await EventLog(tmp_path / "events.sqlite", second).close()

        assert [event.message for event in second.snapshot().events] == ["two"]
        assert "cannot be read" in caplog.text

    asyncio.run(scenario())
