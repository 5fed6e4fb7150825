"""The WebSQ's emulator against what the maker's driver sends and understands."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sim_devices.emulators.emulator import Output
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.json_stream import JsonObjects
from sim_devices.emulators.websq import WebSqEmulator

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=4), SCALARS)


def send(device: WebSqEmulator, *messages: object, now_s: float = 0.0) -> list[Output]:
    sent = "".join(json.dumps(message) for message in messages).encode()
    return device.feed(0, 1, sent, now_s)


def labels(outputs: Sequence[Output]) -> dict[str, object]:
    messages = [json.loads(output.payload.removesuffix(b"\x17")) for output in outputs]
    return {message["label"]: message["value"] for message in messages}


def command(name: str, value: object) -> dict[str, object]:
    return {"command": name, "label": name, "value": value}


@given(
    st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=5), st.integers(1, 9)
)
def test_objects_survive_any_chunking(objects: list[dict[str, object]], chunk: int) -> None:
    stream = "".join(map(json.dumps, objects)).encode()
    reader = JsonObjects()

    received = [
        value
        for at in range(0, len(stream), chunk)
        for value in reader.feed(stream[at : at + chunk])
    ]

    assert received == objects


@given(
    st.binary(max_size=200),
    st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=3),
)
def test_noise_never_kills_it(noise: bytes, objects: list[dict[str, object]]) -> None:
    device = WebSqEmulator()
    device.feed(0, 1, noise, 0.0)
    device.disconnected(0, 1)

    send(device, *objects)

    assert "BiasCurrent" in labels(send(device, {"request": "labelProps", "value": "None"}))


def test_all_labels_come_whole_and_only_to_who_asked() -> None:
    outputs = send(WebSqEmulator(), {"request": "labelProps", "value": "None"})

    properties = labels(outputs)["BiasCurrent"]
    assert isinstance(properties, dict)
    assert properties["value"] == [20.0] * 4
    assert properties["unit"] == "uA"
    assert {output.client for output in outputs} == {1}
    assert all(output.payload.count(b"\x17") == 1 for output in outputs)


def test_changes_are_told_to_everybody() -> None:
    changed = send(WebSqEmulator(), command("SetAllBiasCurrents", [1, 2, 3.5, -4]))

    assert labels(changed)["BiasCurrent"] == [1, 2, 3.5, -4]
    assert {output.client for output in changed} == {None}


def test_a_wrong_length_is_an_error_and_changes_nothing() -> None:
    device = WebSqEmulator()

    refused = labels(send(device, command("SetAllTriggerLevels", [100, 100])))

    assert list(refused) == ["TriggerLevelError"]
    assert labels(send(device, {"request": "TriggerLevel"}))["TriggerLevel"] == [100.0] * 4


def test_requests_show_the_bare_value() -> None:
    device = WebSqEmulator()
    send(device, command("SetAllBiasCurrents", [10, 10, 10, 10]))

    assert labels(send(device, {"request": "BiasVoltage"})) == {"BiasVoltage": [100.0] * 4}


def test_a_line_of_counts_each_period() -> None:
    device = WebSqEmulator(options={"unix_start_s": 1_700_000_000.0, "rate_cps": 10_000.0})
    send(device, command("SetMeasurementPeriod", 50))

    lines = [out for tick in range(1, 201) for out in device.tick(tick / 200) if out.port == 1]

    words = lines[-1].payload.removesuffix(b"\n").split(b",")
    assert 19 <= len(lines) <= 21
    assert 1_700_000_000.9 < float(words[0]) <= 1_700_000_001.0
    assert all(400 < int(word) < 600 for word in words[1:])
    assert len(words) == 5


def test_periods_below_ten_milliseconds_are_refused() -> None:
    refused = labels(send(WebSqEmulator(), command("SetMeasurementPeriod", 9)))

    assert list(refused) == ["InptMeasurementPeriodError"]


def test_detectors_are_switched_by_true_and_false_alone() -> None:
    refused = labels(send(WebSqEmulator(), command("DetectorEnable", "off")))

    assert list(refused) == ["DetectorEnableError"]


def test_detectors_without_bias_count_nothing() -> None:
    device = WebSqEmulator(options={"unix_start_s": 0.0})
    send(device, command("DetectorEnable", False))

    lines = [out.payload for tick in range(1, 101) for out in device.tick(tick / 100)]

    assert set(lines[-1].removesuffix(b"\n").split(b",")[1:]) == {b"0"}


def test_auto_bias_ends_and_shows_what_it_found() -> None:
    device = WebSqEmulator()
    started = labels(send(device, {"command": "AutoCaliBiasCurrents", "value": True}))

    later = [out for tick in range(1, 201) for out in device.tick(tick / 100) if out.port == 0]

    assert started == {"StartAutoIV": True}
    assert labels(later)["StartAutoIV"] is False
    assert labels(later)["BiasCurrentAutoIV"] == [20.0] * 4


def test_the_device_reports_an_error_of_its_own() -> None:
    device = WebSqEmulator(options={"faults": Faults([Fault(FaultKind.DEVICE_ERROR, 0.5)])})

    reports = [out for tick in range(100) for out in device.tick(tick / 100) if out.port == 0]

    assert [label for label in labels(reports) if "Error" in label]


def test_a_search_for_biases_can_be_given_up() -> None:
    device = WebSqEmulator()
    assert labels(send(device, command("AutoCaliBiasCurrents", True)))["StartAutoIV"] is True

    said = send(device, command("AutoCaliBiasCurrents", False), now_s=0.1)

    assert labels(said) == {"StartAutoIV": False}
    assert "BiasCurrentAutoIV" not in labels(device.tick(5.0)[1:])


def test_a_latched_wire_shows_a_high_voltage() -> None:
    device = WebSqEmulator()
    send(device, command("SetAllBiasCurrents", [20, 40, 20, 20]))
    send(device, command("SetAllBiasCurrents", [20, 20, 20, 20]))

    said = labels(send(device, {"request": "BiasVoltage"}))

    assert said["BiasVoltage"] == [200.0, 2000.0, 200.0, 200.0]


def test_a_trigger_level_below_zero_is_an_error() -> None:
    said = send(WebSqEmulator(), command("SetAllTriggerLevels", [-1, 1, 1, 1]))

    assert "TriggerLevelError" in labels(said)
