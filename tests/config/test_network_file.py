"""A network file, written anew, says the same."""

from pathlib import Path

import pytest

from qnx_hw import config

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_file_written_with_every_default_reads_back_equal(file: Path) -> None:
    network = config.load(file)

    assert config.parse(network.text) == network
