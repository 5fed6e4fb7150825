"""The detector bank's driver against an emulated unit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from answering import TcpDevice

from drivers.single_quantum_websq import WebSq
from drivers.websq_labels import Counts, Labels
from qnx_hw.errors import (
    Cancelled,
    InstrumentError,
    InstrumentRefused,
    InstrumentTimeout,
    NotConnected,
    RangeError,
)
from qnx_hw.instruments.values import InstrumentState
from sim_devices.emulators.faults import Fault, FaultKind, Faults
from sim_devices.emulators.websq import WebSqEmulator

Serve = Callable[..., list[str]]
LONG_S = 120.0


def served(serve: Serve, faults: Faults | None = None) -> str:
    control, counts = serve(
        WebSqEmulator(options={"faults": faults or Faults()}),
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:0",
        faults=faults,
    )
    return f"{control}?counts_port={urlsplit(counts).port}"


def test_the_unit_is_read_and_left_switched_off(serve: Serve) -> None:
    url = served(serve)

    with WebSq(url) as detectors:
        assert detectors.capabilities.n_channels == 4
        assert detectors.enable(True) is True
        assert detectors.settings()["enabled"] is True
        assert detectors.status().state is InstrumentState.READY

    with WebSq(url) as detectors:
        assert detectors.settings()["enabled"] is False


def test_rates_are_counts_per_second(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        detectors.enable(True)
        detectors.configure({"period_s": 0.1})
        for _ in range(3):
            rates = detectors.count_rates(timeout_s=LONG_S)

    assert len(rates) == 4
    assert max(rates) > 1000


def test_a_latched_detector_is_known_and_brought_back(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        detectors.enable(True)
        detectors.configure({"period_s": 0.02})
        detectors.set_bias(2, 40e-6)
        detectors.set_bias(2, 20e-6)

        assert detectors.latched() == (False, True, False, False)
        assert detectors.relatch(2) == pytest.approx(20e-6)
        assert detectors.latched() == (False,) * 4
        with pytest.raises(RangeError):
            detectors.relatch(5)


def test_biases_and_thresholds_are_set_one_by_one(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        before = detectors.settings()
        assert detectors.set_bias(2, 12e-6) == pytest.approx(12e-6, abs=1e-7)
        assert detectors.set_threshold_v(3, 0.123) == pytest.approx(0.123, abs=1e-3)
        after = detectors.settings()
        held = detectors.levels()

    assert held[1].bias == pytest.approx(12e-6, abs=1e-7)
    assert held[2].threshold_v == pytest.approx(0.123, abs=1e-3)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"bias_2_A", "threshold_3_v"}


def test_two_threads_do_not_undo_each_others_biases(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        threads = [
            threading.Thread(target=detectors.set_bias, args=(channel, channel * 1e-6))
            for channel in (1, 2, 3, 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = detectors.settings()

    assert [held[f"bias_{c}_A"] for c in (1, 2, 3, 4)] == pytest.approx(
        [1e-6, 2e-6, 3e-6, 4e-6], abs=1e-7
    )


def test_nonsense_is_refused(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        before = detectors.settings()
        with pytest.raises(RangeError, match="bias"):
            detectors.set_bias(1, 1.0)
        with pytest.raises(RangeError):
            detectors.set_bias(5, 1e-6)
        with pytest.raises(RangeError):
            detectors.configure({"enabled": False, "period_s": 0.001})
        assert detectors.settings() == before


def test_the_automatic_bias_is_found_and_set(serve: Serve) -> None:
    with WebSq(served(serve)) as detectors:
        detectors.enable(True)
        biases = detectors.auto_bias([100.0] * 4, timeout_s=LONG_S)
        held = detectors.settings()

    assert [held[f"bias_{c}_A"] for c in (1, 2, 3, 4)] == pytest.approx(biases, abs=1e-7)


def test_the_automatic_bias_can_be_cancelled(serve: Serve) -> None:
    cancel = threading.Event()
    cancel.set()

    with WebSq(served(serve)) as detectors:
        with pytest.raises(Cancelled):
            detectors.auto_bias([100.0] * 4, cancel=cancel)
        assert detectors.settings()["period_s"] > 0


@pytest.mark.parametrize("kind", [FaultKind.MERGE, FaultKind.GARBAGE])
def test_a_disturbed_wire_ends_well_or_with_a_named_error(serve: Serve, kind: FaultKind) -> None:
    faults = Faults([Fault(kind, 0.0, 100.0 if kind is not FaultKind.GARBAGE else None)])
    detectors = WebSq(served(serve, faults))
    try:
        detectors.connect(timeout_s=2.0)
    except InstrumentError:
        detectors.connect(timeout_s=LONG_S)

    assert detectors.set_bias(1, 5e-6, timeout_s=LONG_S) == pytest.approx(5e-6, abs=1e-7)
    detectors.close()


def test_a_silent_unit_times_out() -> None:
    with TcpDevice(lambda _: b"") as control, TcpDevice(lambda _: b"") as counts:
        url = f"tcp://127.0.0.1:{control.port}?counts_port={counts.port}"
        with pytest.raises(InstrumentTimeout, match="NumberOfDetectors"):
            WebSq(url).connect(timeout_s=0.2)


def test_a_lost_counts_port_is_a_lost_unit(serve: Serve) -> None:
    control = urlsplit(served(serve))
    with TcpDevice(lambda _: b"") as counts:
        detectors = WebSq(f"tcp://127.0.0.1:{control.port}?counts_port={counts.port}")
        detectors.connect()
    with pytest.raises(NotConnected):
        detectors.count_rates(timeout_s=LONG_S)
    assert detectors.status().state is InstrumentState.DISCONNECTED
    detectors.close()


@pytest.mark.parametrize(
    "message", [b"", b"{", b"[]", b'{"label": 5}', b'"x"', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_label_is_left_alone(message: bytes) -> None:
    labels = Labels("bank")

    labels.take_message(message)
    labels.take_counts(message)

    assert labels.counts.number == 0


def test_numbers_are_read_however_they_are_written() -> None:
    labels = Labels("bank")

    labels.take_counts(b"1700000000.5, 1.02E+3,7.0\r")
    labels.take_counts(b"1700000000.6,1.5,nan")

    assert labels.counts == Counts(1, (1020, 7))


def test_a_detector_bank_may_count_itself_in_floats() -> None:
    said = b"".join(
        json.dumps({"label": label, "value": {"value": value}}).encode() + b"\x17"
        for label, value in (
            ("LastError", ""),
            ("NumberOfDetectors", 4.0),
            ("InptMeasurementPeriod", 100.0),
            ("DetectorEnable", False),
        )
    )
    with TcpDevice(lambda _: said) as control, TcpDevice(lambda _: b"") as counts:
        detectors = WebSq(f"tcp://127.0.0.1:{control.port}?counts_port={counts.port}")
        detectors.connect(timeout_s=LONG_S)

        assert detectors.capabilities.n_channels == 4
        detectors.close()


def test_an_error_is_one_once_it_says_what_is_wrong() -> None:
    labels = Labels("bank")
    labels.take_message(b'{"label": "BiasCurrentError", "value": "too high"}')

    with pytest.raises(InstrumentRefused, match="too high"):
        labels.wait(lambda: False, "the bias", LONG_S)
