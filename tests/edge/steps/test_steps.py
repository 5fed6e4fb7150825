"""Steps keep what they promise, and what is packed unpacks."""

import json
import math
import random
import secrets

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.config import StepSection
from qnx_hw.edge.steps import Pipeline, Unpacking, make_step
from qnx_hw.edge.steps.interface import ByteStep, RecordStep
from qnx_hw.errors import ConfigError

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


def step(name: str, **settings: object) -> RecordStep:
    made = make_step(StepSection(step=name, settings=settings))
    assert isinstance(made, RecordStep)
    return made


def byte_step(name: str, **settings: object) -> ByteStep:
    made = make_step(StepSection(step=name, settings=settings))
    assert isinstance(made, ByteStep)
    return made


@given(values)
def test_a_window_is_replaced_by_its_statistics(numbers: list[float]) -> None:
    ours = step(
        "aggregate",
        window_s=10.0,
        fields=["t"],
        by=["s"],
        statistics=["mean", "min", "max", "p90", "count"],
        digits=15,
    )
    records = [{"s": "a", "t": number, "note": "lost"} for number in numbers]

    assert ours.take(records, 0.0) == []
    assert ours.flush(9.9, is_end=False) == []
    (record,) = ours.flush(10.0, is_end=False)

    assert record["s"] == "a"
    assert record["count"] == len(numbers)
    assert (record["t_min"], record["t_max"]) == (
        pytest.approx(min(numbers)),
        pytest.approx(max(numbers)),
    )
    assert record["t_mean"] == pytest.approx(math.fsum(numbers) / len(numbers), abs=1e-6)
    assert record["t_p90"] == pytest.approx(np.percentile(numbers, 90), abs=1e-6)


def test_what_is_no_number_does_not_spoil_a_window() -> None:
    ours = step("aggregate", window_s=1.0, fields=["t"])
    records = [{"t": 1.0}, {"t": "warm"}, {"t": None}, {}, {"t": True}, {"t": 3.0}]
    ours.take(records, 0.0)

    assert ours.flush(1.0, is_end=False) == [
        {"t_mean": 2.0, "t_min": 1.0, "t_max": 3.0, "count": 6}
    ]


@given(values, st.floats(-1e6, 1e6))
def test_a_threshold_passes_exactly_what_is_above(numbers: list[float], limit: float) -> None:
    ours = step("filter", field="t", minimum=limit)

    passed = ours.take([{"t": number} for number in numbers], 0.0)

    assert [record["t"] for record in passed] == [number for number in numbers if number >= limit]


def test_a_rate_and_a_change_hold_per_group() -> None:
    slow = step("filter", most_per_s=1.0, by=["s"])
    times = [slow.take([{"s": "a"}, {"s": "b"}], at / 10) for at in range(25)]
    assert [len(passed) for passed in times] == [2 if at in (0, 10, 20) else 0 for at in range(25)]

    changed = step("filter", field="t", change=0.5, by=["s"])
    passed = [
        record["t"]
        for t in (1.0, 1.4, 1.5, 1.6, 0.9)
        for record in changed.take([{"s": "a", "t": t}], 0.0)
    ]
    assert passed == [1.0, 1.5, 0.9]


def test_a_repetition_passes_again_after_its_time() -> None:
    ours = step("deduplicate", by=["id"], within_s=10.0)

    assert ours.take([{"id": 1, "t": 1}, {"id": 1, "t": 2}, {"id": 2}], 0.0) == [
        {"id": 1, "t": 1},
        {"id": 2},
    ]
    assert ours.take([{"id": 1}], 9.0) == []
    assert ours.take([{"id": 1}], 11.0) == [{"id": 1}]


@pytest.mark.parametrize("name", ["compress", "cache"])
@given(batches=st.lists(st.sampled_from([b"", b"a" * 500, b"abc" * 99, secrets.token_bytes(300)])))
def test_what_is_encoded_decodes(name: str, batches: list[bytes]) -> None:
    ours, theirs = byte_step(name), byte_step(name)

    assert [theirs.decode(ours.encode(batch)) for batch in batches] == batches


def test_compression_leaves_what_does_not_compress() -> None:
    ours = byte_step("compress")
    noise, text = secrets.token_bytes(100_000), b"temperature 21.5\n" * 5000

    assert len(ours.encode(text)) < len(text) / 20
    assert len(ours.encode(noise)) == len(noise) + 1


def test_a_cache_names_what_was_sent_and_forgets_at_both_ends_alike() -> None:
    ours, theirs = byte_step("cache", megabytes=1), byte_step("cache", megabytes=1)
    contents = [secrets.token_bytes(300_000) for _ in range(5)]
    rng = random.Random(3)
    sizes = []
    for _ in range(60):
        content = rng.choice(contents)
        encoded = ours.encode(content)
        sizes.append(len(encoded))
        assert theirs.decode(encoded) == content

    assert min(sizes) == 33
    assert sizes.count(300_001) > 5


@given(st.binary(max_size=60))
def test_noise_is_refused(noise: bytes) -> None:
    for name in ("compress", "cache"):
        ours = byte_step(name)
        if noise[:1] != b"\0":
            with pytest.raises(ValueError, match=r"."):
                ours.decode(noise)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (StepSection(step="hope"), "there is no step 'hope'"),
        (StepSection(step="aggregate"), "window_s"),
        (StepSection(step="filter", settings={"fields": "t"}), "fields"),
        (
            StepSection(
                step="aggregate",
                settings={"window_s": 1.0, "fields": ["t"], "statistics": ["mode"]},
            ),
            "no statistic 'mode'",
        ),
    ],
)
def test_a_wrong_setting_is_named(section: StepSection, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_step(section)


def test_records_come_before_batches() -> None:
    with pytest.raises(ConfigError, match="works on records"):
        Pipeline([StepSection(step="compress"), StepSection(step="deduplicate")])


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers(-99, 99), max_size=3), max_size=30),
    st.integers(1, 7),
)
def test_every_record_arrives_in_order_however_it_is_batched(
    records: list[dict[str, int]], size: int
) -> None:
    steps = [StepSection(step="batch", settings={"records": size}), StepSection(step="compress")]
    ours, theirs = Pipeline(steps), Unpacking(steps)
    lines = [json.dumps(record).encode() for record in records]

    batches = [batch for line in lines for batch in ours.feed([line], 0.0)]
    batches += ours.tick(0.0, is_end=True)

    received = b"".join(theirs.unpack(batch) for batch in batches).splitlines()
    assert [json.loads(line) for line in received] == records


def test_a_batch_leaves_when_its_first_record_is_old_enough() -> None:
    ours = Pipeline([StepSection(step="batch", settings={"records": 100, "age_s": 2.0})])

    assert ours.feed([b'{"a":1}'], 10.0) == []
    assert ours.tick(11.9) == []
    assert ours.tick(12.0) == [b'{"a":1}\n']
    assert ours.waited_s == pytest.approx(2.0)


def test_lines_that_are_no_objects_are_counted() -> None:
    ours = Pipeline([])

    assert ours.feed([b"[1]", b"nonsense", b"{}"], 0.0) == [b"{}\n"]
    assert ours.refused_lines == 2


def test_sensor_data_shrink_by_four_fifths_and_keep_their_statistics() -> None:
    rng = random.Random(11)
    steps = [
        StepSection(step="filter", settings={"keep": ["sensor", "celsius", "volt"]}),
        StepSection(
            step="aggregate",
            settings={"window_s": 1.0, "fields": ["celsius", "volt"], "by": ["sensor"]},
        ),
        StepSection(step="batch", settings={"records": 50, "age_s": 5.0}),
        StepSection(step="compress"),
    ]
    ours, theirs = Pipeline(steps), Unpacking(steps)
    batches, sums = [], {f"s{at}": [] for at in range(8)}
    for at in range(5000):
        sensor = f"s{at % 8}"
        celsius = 20 + 3 * math.sin(at / 500) + rng.gauss(0, 0.1)
        sums[sensor].append(celsius)
        record = {
            "time": f"2026-01-01T00:00:{at % 60:02d}.{at % 1000:03d}Z",
            "sensor": sensor,
            "celsius": celsius,
            "volt": 3.3 + rng.gauss(0, 0.01),
            "firmware": "2.4.1",
        }
        batches += ours.feed([json.dumps(record).encode()], at / 100)
    batches += ours.tick(51.0, is_end=True)

    received = [json.loads(line) for each in batches for line in theirs.unpack(each).splitlines()]
    assert ours.bytes_out < 0.2 * ours.bytes_in
    for sensor, numbers in sums.items():
        windows = [record for record in received if record["sensor"] == sensor]
        assert sum(window["count"] for window in windows) == len(numbers)
        assert min(window["celsius_min"] for window in windows) == pytest.approx(min(numbers), 1e-5)
