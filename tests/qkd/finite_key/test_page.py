"""The examples of the page on key lengths run, and every public formula is on it."""

from __future__ import annotations

import doctest
from pathlib import Path

from qnx_hw.qkd import finite_key

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "key-lengths.md"


def test_every_example_of_the_page_runs() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, "key-lengths", str(PAGE), 0)
    runner = doctest.DocTestRunner(verbose=False)

    assert runner.run(examples) == doctest.TestResults(failed=0, attempted=len(examples.examples))
    assert len(examples.examples) > 10


def test_every_formula_has_a_docstring_and_a_place_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    functions = [name for name in finite_key.__all__ if name[0].islower()]

    assert [name for name in functions if not getattr(finite_key, name).__doc__] == []
    assert [name for name in functions if f"`{name}`" not in page] == []
