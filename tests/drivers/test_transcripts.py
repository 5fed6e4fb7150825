"""Drivers send what manuals ask for, to the byte, and read the replies that manuals print.

Each transcript names its source. Those of the ELL14 and the MPC320 hold the manuals' own examples.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qnx_hw.instruments import registry
from qnx_hw.instruments.values import Edge, Identity
from qnx_hw.transports import Direction
from qnx_hw.transports.replay import read_transcript

FOLDER = Path(__file__).parent / "transcripts"
LONG_S = 20.0
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
    "pm100": (lambda meter: meter.configure({"wavelength_nm": 1310.0})["wavelength_nm"], 1310.0),
    "polatis": (lambda switch: switch.apply({1: 2, 2: 1}), {1: 2, 2: 1}),
    "s15spd": (
        lambda detector: (
            detector.configure({"temperature_c": -25.0})["temperature_c"],
            detector.count_rates(),
        ),
        (-25, (1224.0,)),
    ),
    "tdc1": (lambda tagger: tagger.set_threshold_v(1, -0.3, Edge.FALLING), -0.3),
}


@pytest.mark.parametrize("driver", CALLS)
def test_a_driver_follows_its_transcript(driver: str) -> None:
    call, expected = CALLS[driver]
    path = FOLDER / f"{driver}.jsonl"
    exchange = read_transcript(path)
    sent: list[bytes] = []

    def record(direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT and payload not in exchange.ignored:
            sent.append(payload)

    instrument = registry.make(driver, f"transcript://{path}", driver, recorder=record)
    with instrument:
        answer = call(instrument)

    assert answer == expected
    recorded = [payload for way, payload in exchange.steps if way is Direction.SENT]
    assert b"".join(sent) == b"".join(recorded)


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
