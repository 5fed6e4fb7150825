"""A network file written anew says the same."""

from pathlib import Path

import pytest

from qnx_hw.config import load, parse

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_written_reads_back_equal(path: Path) -> None:
    network = load(path)

    assert parse(network.text) == network
