"""Subjects and patterns, as NATS has them."""

from __future__ import annotations

import re

from qnx_hw.errors import BusRefused

_WORD = re.compile(r"[A-Za-z0-9_$-]{1,80}")
MAX_WORDS = 16


def check(subject: str) -> str:
    """Return a subject without wildcards; `BusRefused` for anything else."""
    words = subject.split(".")
    if len(words) > MAX_WORDS or not all(_WORD.fullmatch(word) for word in words):
        raise BusRefused(f"'{subject[:80]}' is not a subject: words of letters, digits, - and _")
    return subject


def check_pattern(pattern: str) -> str:
    """Return a pattern; `BusRefused` where it is none."""
    words = pattern.split(".")
    if words[-1] == ">":
        words[-1] = "*"
    if len(words) > MAX_WORDS or not all(_WORD.fullmatch(word) for word in words if word != "*"):
        raise BusRefused(f"'{pattern[:80]}' is not a pattern: words, * for one, > for the rest")
    return pattern


def matches(pattern: str, subject: str) -> bool:
    """Whether a checked pattern covers a checked subject."""
    wanted, words = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        if len(words) <= len(wanted):
            return False
        words = words[: len(wanted)]
    return len(wanted) == len(words) and all(
        want in ("*", word) for want, word in zip(wanted, words, strict=True)
    )
