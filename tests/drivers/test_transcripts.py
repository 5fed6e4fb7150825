"""Drivers send what manuals ask for, to the byte, and read the replies that manuals print.

Each transcript names its source. Those of the ELL14 and the MPC320 hold the manuals' own examples.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qnx_hw.instruments import registry
from qnx_hw.instruments.families import TimeTagger
from qnx_hw.instruments.values import Edge, Identity
from qnx_hw.transports import Direction, Transcript
from qnx_hw.transports.replay import read_transcript

FOLDER = Path(__file__).parent / "transcripts"
LONG_S = 120.0
# The wires of an instrument that has more than one, beyond the first.
WIRES = {"id900": ("data-link", "input-2"), "websq": ("counts",)}
# Any: each call belongs to its own family.
CALLS: dict[str, tuple[Callable[[Any], object], object]] = {
    "agiltron": (lambda switch: switch.apply({1: 3}), {1: 3}),
    "cc1": (
        lambda counter: counter.configure({"window_ns": 5, "delay_ns": 6})["delay_ns"],
        6,
    ),
    "dd100": (lambda attenuator: attenuator.set_attenuation_db(10.0), 10.0),
    "dg645": (lambda generator: generator.set_delay_ps("A", 12_500), 12_500),
    "ell14": (lambda plate: plate.move(1, 45.0, timeout_s=LONG_S), 45.0),
    "epc400": (lambda squeezers: squeezers.move(1, 1.5), 1.5),
    "id120": (lambda detector: detector.set_threshold_v(1, 0.5), 0.5),
    "id900": (
        lambda tagger: (tagger.set_threshold_v(1, 0.5, Edge.RISING), first_tags(tagger)),
        (0.499712, [(1000, 2), (2500, 2), (199_999_999_999, 2)]),
    ),
    "kdc101": (
        lambda plate: (
            round(float(plate.configure({"speed_deg_per_s": 10.0})["speed_deg_per_s"]), 3),
            round(plate.move(1, 45.0, timeout_s=LONG_S), 3),
        ),
        (10.0, 45.0),
    ),
    "lcc25": (lambda retarder: retarder.move(1, 2.5), 2.5),
    "mpc320": (
        lambda paddles: (
            paddles.settings()["speed_percent"],
            round(paddles.move(2, 85.0, timeout_s=LONG_S), 3),
        ),
        (100, 85.0),
    ),
    "osw": (lambda switch: switch.connections(), {1: 1}),
    "pax1000": (
        lambda polarimeter: [round(part, 7) for part in polarimeter.stokes()],
        [1.5e-6, 0.6402159, 0.6402159, 0.3750298],
    ),
    "pm100": (lambda meter: meter.configure({"wavelength_nm": 1310.0})["wavelength_nm"], 1310.0),
    "polatis": (lambda switch: switch.apply({1: 2, 2: 1}), {1: 2, 2: 1}),
    "s15spd": (
        lambda detector: (
            detector.configure({"temperature_c": -25.0})["temperature_c"],
            detector.count_rates(),
        ),
        (-25, (1224.0,)),
    ),
    "sim900": (lambda source: source.ramp_to_v(1, 1.3), 1.3),
    "tdc1": (lambda tagger: tagger.set_threshold_v(1, -0.3, Edge.FALLING), -0.3),
    "websq": (
        lambda detectors: (round(detectors.set_bias(2, 14.5e-6), 9), detectors.count_rates()),
        (14.5e-6, (10_210.0, 9_980.0, 10_130.0, 10_070.0)),
    ),
}


def first_tags(tagger: TimeTagger) -> list[tuple[int, int]]:
    with tagger.start_stream(block_s=0.2) as stream:
        block = stream.read(timeout_s=LONG_S)
    return list(zip(block.times_ps.tolist(), block.channels.tolist(), strict=True))


@pytest.mark.parametrize("driver", CALLS)
def test_a_driver_follows_its_transcript(driver: str, tmp_path: Path) -> None:
    call, expected = CALLS[driver]
    path = FOLDER / f"{driver}.jsonl"
    again = Transcript(tmp_path / "again.jsonl")

    instrument = registry.make(driver, f"transcript://{path}", driver, recorder=again)
    with instrument:
        answer = call(instrument)
    again.close()

    assert answer == expected
    for wire in ("", *WIRES.get(driver, ())):
        assert sent(tmp_path / "again.jsonl", path, wire) == sent(path, path, wire)


def sent(path: Path, ignoring: Path, wire: str) -> bytes:
    ignored = read_transcript(ignoring, wire).ignored
    steps = read_transcript(path, wire).steps
    return b"".join(said for way, said in steps if way is Direction.SENT and said not in ignored)


def test_every_transcript_is_followed() -> None:
    assert {path.stem for path in FOLDER.glob("*.jsonl")} == set(CALLS)


def test_the_manuals_identities_are_read() -> None:
    found: dict[str, Identity] = {}
    for driver in ("ell14", "mpc320"):
        instrument = registry.make(driver, f"transcript://{FOLDER / driver}.jsonl", driver)
        found[driver] = instrument.connect(timeout_s=LONG_S)
        instrument.close()

    assert found["ell14"].serial == "11400100"
    assert (found["mpc320"].model, found["mpc320"].serial) == ("MPC320", "38000001")
