"""What a network file's reader is told: which key, what it says, what it may say."""

import re
from pathlib import Path

import pytest

from qnx_hw.config import load, parse
from qnx_hw.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"
PROTOCOL = '"bb85" is none of "bbm92", "decoy-bb84", "e91"'
NAME = "is not a name of lower-case letters, digits and hyphens"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('listen = "127.0.0.1:8472"', "", "nodes.bob.listen: is missing; [nodes.bob] needs it"),
        ("block_sifted_bits", "block_bits", "links.alice-bob.block_bits: there is no such key"),
        ('listen = "127.0.0.1:8472"', "listn = 1", "nodes.bob.listn: there is no such key; did"),
        (
            "sifted_bits = 100000",
            "sifted_bits = -1",
            "alice-bob.block_sifted_bits: must be a whole",
        ),
        ("window_ps = 6000", 'window_ps = "6 ns"', 'must be a whole number, not "6 ns"'),
        ('"bbm92"', '"bb85"', f"links.alice-bob.protocol: {PROTOCOL}"),
        ("127.0.0.1:8472", "8472", "nodes.bob.listen: must be an address and port such as"),
        ("127.0.0.1:8472", "127.0.0.1:65536", "nodes.bob.listen: must be an address and port"),
        ("[0.8, 0.4]", "[0.8]", "nodes.bob.position: must have 2 entries; it has 1"),
        ("[0.8, 0.4]", "[0.8, 4]", "nodes.bob.position[1]: must be a number of at most 1, not 4"),
        ("[nodes.bob]", '[nodes."Bob 1"]', f"nodes: 'Bob 1' {NAME}"),
        ("target = 0.03", "target = -1", "links.alice-bob.alignment.target: must be a number of"),
    ],
)
def test_a_mistake_is_named_with_its_table_key_value_and_remedy(
    before: str, after: str, words: str
) -> None:
    text = (EXAMPLES / "demo.toml").read_text()
    assert before in text

    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        parse(text.replace(before, after, 1), source="lab.toml")

    assert str(refused.value).startswith(f"lab.toml: {refused.value.place}: ")


def test_of_many_links_the_one_with_the_mistake_is_named() -> None:
    text = (EXAMPLES / "five-sites.toml").read_text()
    place = text.index("[links.dora-erin]")

    with pytest.raises(ConfigError, match=r"links\.dora-erin\.coincidence_window_ps") as refused:
        parse(text[:place] + text[place:].replace("window_ps = 6000", "window_ps = 1.5", 1))

    assert refused.value.place == "links.dora-erin.coincidence_window_ps"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"# ok\n# l\xe4uft\n", "line 2 is not UTF-8"),
        (b"", "network: is missing; the file needs it"),
        (b"[network\n", "at line 1"),
        (b"links = 1\n[network]\nname = 'a'\n[nodes]\n", "links: must be a table, not 1"),
    ],
)
def test_what_is_no_network_file_is_refused_in_a_sentence(
    tmp_path: Path, octets: bytes, words: str
) -> None:
    file = tmp_path / "lab.toml"
    file.write_bytes(octets)

    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        load(file)

    assert str(file) in str(refused.value)


def test_a_folder_or_nothing_is_no_network_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "gone.toml")
