"""What `qnx run` says of nodes that wait for their laboratory."""

import pytest

from qnx_hw.api.schema import InstrumentView, NodeView
from qnx_hw.commands.run import is_without_laboratory
from qnx_hw.instruments.values import InstrumentState


def instrument(state: InstrumentState, error: str, *, is_simulated: bool = True) -> InstrumentView:
    return InstrumentView(
        name="tagger", node="alice", family="time tagger", driver="tdc1", model="", serial="",
        state=state.value, error=error, is_simulated=is_simulated,
    )  # fmt: skip


LONELY = instrument(InstrumentState.CONNECTING, "nothing answers at tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("instruments", "is_missing"),
    [
        ((), False),
        ((LONELY, LONELY), True),
        ((LONELY, instrument(InstrumentState.READY, "")), False),
        ((instrument(InstrumentState.CONNECTING, ""),), False),
        ((instrument(InstrumentState.RECONNECTING, "closed by the other side"),), False),
        ((instrument(InstrumentState.CONNECTING, "no such port", is_simulated=False),), False),
    ],
)
def test_a_laboratory_is_missed_where_none_of_its_instruments_ever_answered(
    instruments: tuple[InstrumentView, ...], is_missing: bool
) -> None:
    node = NodeView(
        name="alice", is_online=True, position=(0.5, 0.5), pool_bits=0, pool_capacity_bits=0,
        instruments=instruments,
    )  # fmt: skip

    assert is_without_laboratory([node]) is is_missing
