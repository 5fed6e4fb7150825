"""A trouble stands until a better word comes about the same, however much is told meanwhile."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.api.schema import Event, Level
from qnx_hw.node.event_ring import GRAVITY, EventRing

ROOM = 20
"""More than can stand at once: two levels of trouble, of four pairs of source and topic."""
words = st.tuples(
    st.sampled_from(Level), st.sampled_from(("alice", "bob")), st.sampled_from(("", "key", "bus"))
)


def told(words: list[tuple[Level, str, str]]) -> list[Event]:
    return [
        Event(number=n, time_s=float(n), level=level, source=source, message=f"{n}", about=about)
        for n, (level, source, about) in enumerate(words, start=1)
    ]


def ring() -> EventRing:
    return EventRing(count(1).__next__, ROOM)


def model(events: list[Event]) -> set[int]:
    """Return the numbers of what stands, thing by thing, by the rule read backwards."""
    standing = set()
    for place in {(each.source, each.about) for each in events if each.about}:
        gravest = -1
        for event in reversed([each for each in events if (each.source, each.about) == place]):
            if event.level in (Level.OK, Level.INFO):
                break
            if GRAVITY[event.level] > gravest:
                gravest = GRAVITY[event.level]
                standing.add(event.number)
    return standing


@given(st.lists(words, max_size=80))
def test_what_stands_is_what_no_later_word_ended(words: list[tuple[Level, str, str]]) -> None:
    ours, events = ring(), told(words)
    for event in events:
        ours.add(event)

    assert {event.number for event in ours if event.is_standing} == model(events)
    assert len(ours) == min(len(events), ROOM)
    assert events[-1:] == list(ours)[-1:]


@given(st.lists(words, max_size=80))
def test_a_trouble_is_over_once_and_when_the_word_that_ends_it_came(
    words: list[tuple[Level, str, str]],
) -> None:
    ours, over_s = ring(), dict[int, float]()
    for event in told(words):
        ours.add(event)
        for each in ours:
            if each.cleared_s is not None:
                assert over_s.setdefault(each.number, event.time_s) == each.cleared_s
                assert each.is_trouble
                assert each.about
                assert each.cleared_s > each.time_s


@given(st.lists(st.one_of(words, st.integers(1, 80)), max_size=120), st.sets(st.integers(0, 120)))
def test_who_looks_now_and_then_knows_what_stands(
    steps: list[tuple[Level, str, str] | int], looks: set[int]
) -> None:
    seen, at, newest, changes = dict[int, Event](), 0, 0, count(1)
    ours = EventRing(lambda: next(changes), ROOM)
    for index, step in enumerate(steps):
        if isinstance(step, int):
            ours.acknowledge(step, by="eva")
        else:
            newest += 1
            level, source, about = step
            ours.add(
                Event(
                    number=newest,
                    time_s=float(newest),
                    level=level,
                    source=source,
                    message="",
                    about=about,
                )
            )
        if index in looks and at >= ours.forgotten:
            seen |= {event.number: event for event in ours.since(at)}
            at = next(changes)
    if at < ours.forgotten:  # the node says so, and tells everything anew
        seen, at = {}, 0
    seen |= {event.number: event for event in ours.since(at)}

    assert {event.number: event for event in ours}.items() <= seen.items()


@given(st.lists(words, min_size=1, max_size=30), st.data())
def test_acknowledged_and_over_are_two_things(
    words: list[tuple[Level, str, str]], data: st.DataObject
) -> None:
    ours = ring()
    for event in told(words):
        ours.add(event)
    chosen = data.draw(st.sampled_from(list(ours)))

    seen = ours.acknowledge(chosen.number, by="eva")

    assert seen is not None
    assert (seen.is_acknowledged, seen.acknowledged_by) == (True, "eva")
    assert (seen.is_standing, seen.cleared_s) == (chosen.is_standing, chosen.cleared_s)
    assert not seen.is_open
    assert [each for each in ours if each.number == chosen.number] == [seen]


def test_the_changes_come_in_the_order_in_which_they_were_made() -> None:
    ours = ring()
    for event in told([(Level.ALARM, "bob", "key"), (Level.ALARM, "bob", "")]):
        ours.add(event)
    ours.acknowledge(2, by="eva")
    ours.add(Event(number=3, time_s=3.0, level=Level.OK, source="bob", message="", about="key"))

    assert [event.number for event in ours.since(0)] == [2, 1, 3]
    assert [event.cleared_s for event in ours] == [3.0, None, None]
