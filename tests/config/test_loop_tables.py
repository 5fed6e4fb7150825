"""The tables of closed loops: what they need elsewhere in the file is said with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from qnx_hw import config
from qnx_hw.errors import ConfigError

EXAMPLES = Path(__file__).parents[2] / "examples"


def _parsed(example: str, change: dict[str, Any], end: str = "") -> config.NetworkFile:
    table = tomllib.loads((EXAMPLES / f"{example}.toml").read_text())
    link = table["links"]["alice-bob"]
    (link[end] if end else link).update(change)
    return config.parse(tomli_w.dumps(table))


def test_every_loop_may_stand_in_one_file() -> None:
    pump = {"attenuator": "detectors", "most_db": 20.0}
    whole = _parsed("demo", {"window": {}, "pump": pump, "alignment": {"end": "alice"}})
    ends = _parsed("demo", {"bias": {"algorithm": "climb", "step": 5e-7}, "delays": {}}, "bob")

    assert whole.links["alice-bob"].pump is not None
    assert ends.links["alice-bob"].bob.bias is not None
    assert ends.links["alice-bob"].bob.delays is not None
    assert config.parse(whole.text) == whole


@pytest.mark.parametrize(
    ("example", "end", "change", "words"),
    [
        ("demo", "", {"alignment": {"instruments": ["gone"]}}, "has no instrument 'gone'"),
        ("decoy-bb84", "", {"alignment": {"end": "alice"}}, "no `polarization` instrument"),
        ("demo", "", {"alignment": {"target": 0.08}}, "below security.qber_limit, 0.08"),
        ("demo", "", {"window": {"low_ps": 900.0, "high_ps": 800.0}}, "low_ps must be below"),
        ("demo", "", {"pump": {"attenuator": "gone"}}, "has no instrument 'gone'"),
        ("decoy-bb84", "", {"pump": {"attenuator": "transmitter"}}, "no pair source"),
        (
            "demo",
            "",
            {"launch": {"attenuator": "tagger", "power_meter": "tagger", "tap_db": 1.0}},
            "no [links.….pulses]",
        ),
        ("decoy-bb84", "alice", {"delays": {}}, "no tagger whose times"),
        ("decoy-bb84", "alice", {"bias": {}}, "needs `detectors` and a `tagger`"),
    ],
)
def test_what_is_missing_is_said_with_its_place(
    example: str, end: str, change: dict[str, Any], words: str
) -> None:
    (table,) = change
    with pytest.raises(ConfigError) as refused:
        _parsed(example, change, end)

    assert words in str(refused.value)
    assert f"links.alice-bob.{f'{end}.' if end else ''}{table}" in str(refused.value)
