"""Patterns cover what NATS says they cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.bus.subjects import check, check_pattern, matches
from qnx_hw.errors import BusRefused

words = st.from_regex(r"[a-z0-9-]{1,5}", fullmatch=True)
subjects = st.lists(words, min_size=1, max_size=5)


@given(subjects, st.data())
def test_a_star_stands_for_any_one_word(subject: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(subject) - 1))
    pattern = ".".join([*subject[:at], "*", *subject[at + 1 :]])

    assert matches(check_pattern(pattern), check(".".join(subject)))
    assert not matches(pattern, ".".join([*subject, "more"]))


@given(subjects, st.data())
def test_the_rest_is_one_word_or_more(subject: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(subject)))
    pattern = ".".join([*subject[:at], ">"])

    assert matches(check_pattern(pattern), ".".join(subject)) == (at < len(subject))


@given(subjects, subjects)
def test_without_wildcards_only_the_same_matches(one: list[str], other: list[str]) -> None:
    assert matches(".".join(one), ".".join(other)) == (one == other)


@pytest.mark.parametrize("subject", ["", "a..b", "a.*", "a.>", "a b", "a.\r\nPUB x", "a" * 81])
def test_what_could_mean_something_else_is_no_subject(subject: str) -> None:
    with pytest.raises(BusRefused, match="not a subject"):
        check(subject)


@pytest.mark.parametrize("pattern", ["", ">.a", "a.>.b", "a..>", "a.b*", "a. ", "a.\n"])
def test_wildcards_stand_alone_and_the_rest_last(pattern: str) -> None:
    with pytest.raises(BusRefused, match="not a pattern"):
        check_pattern(pattern)
