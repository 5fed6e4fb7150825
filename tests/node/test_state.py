"""The hub keeps the latest of everything and says what is new."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.api.schema import BlockStage, Level, LinkPhase, LinkView, NodeView
from qnx_hw.node.event_ring import RING_EVENTS
from qnx_hw.node.state import Hub


def link(name: str, pairs: int = 0) -> LinkView:
    return LinkView(
        name=name,
        alice="alice",
        bob="bob",
        protocol="bbm92",
        phase=LinkPhase.IDLE,
        stage=BlockStage.COLLECTING,
        pairs=pairs,
    )


def hub() -> Hub:
    return Hub("lab", is_simulated=True, now=lambda: 1_000.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30))
def test_a_slow_client_ends_with_the_latest_values(updates: list[tuple[str, int]]) -> None:
    ours, seen, number = hub(), {}, 0
    for index, (name, pairs) in enumerate(updates):
        ours.set(link(name, pairs))
        if index % 7 == 0:
            changes = ours.since(number)
            number = changes.number
            seen |= {view.name: view for view in changes.views}
    seen |= {view.name: view for view in ours.since(number).views}

    assert seen == {view.name: view for view in ours.links()}


def test_an_equal_view_is_no_change() -> None:
    ours = hub()
    ours.set(link("a"))
    number = ours.number
    ours.set(link("a"))

    assert ours.number == number
    assert not ours.since(number).views


def test_the_ring_forgets_the_oldest_events() -> None:
    ours = hub()
    for index in range(RING_EVENTS + 3):
        ours.tell(Level.INFO, "link", f"event {index}")

    events = ours.snapshot().events

    assert len(events) == RING_EVENTS
    assert events[0].number == 4
    assert ours.acknowledge(3) is None


def test_an_acknowledged_event_is_sent_again() -> None:
    ours = hub()
    event = ours.tell(Level.ALARM, "link", "no light")
    number = ours.number

    ours.acknowledge(event.number)

    assert [seen.is_acknowledged for seen in ours.since(number).events] == [True]


def test_waiting_ends_with_a_change_or_the_deadline() -> None:
    async def scenario() -> tuple[bool, bool]:
        ours = hub()
        quiet = await ours.changed(ours.number, timeout_s=0.001)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(ours.changed(ours.number, timeout_s=120.0))
            await asyncio.sleep(0)
            ours.set(
                NodeView(
                    name="alice",
                    is_online=True,
                    position=(0.5, 0.5),
                    pool_bits=0,
                    pool_capacity_bits=0,
                )
            )
        return quiet, waiting.result()

    assert asyncio.run(scenario()) == (False, True)
