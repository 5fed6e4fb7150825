"""Prometheus reads what the hub shows."""

import re

import pytest

from qnx_hw.api.traffic import HopView, KeyPolicy, TunnelState, TunnelView
from qnx_hw.node.metrics import text
from qnx_hw.node.state import Hub

LINE = re.compile(r'qnx_[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+-]+')


def tunnel(name: str = "web", state: TunnelState = TunnelState.UP) -> TunnelView:
    return TunnelView(
        name=name,
        source="alice",
        destination="bob",
        state=state,
        mode="aes-256-gcm",
        policy=KeyPolicy.BLOCK,
        bytes_in=12_345_678_901,
        rtt_s=0.0125,
    )


def test_every_line_is_of_the_format_and_no_family_comes_twice() -> None:
    hub = Hub("test", is_simulated=True)
    hub.set(tunnel())
    hub.set(HopView(name="a b", source="alice", target="bob", is_up=True, capacity_bps=1e9))

    lines = text(hub).splitlines()

    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) > 10
    assert all(line.startswith("# ") or LINE.fullmatch(line) for line in lines)
    place = 'tunnel="web",source="alice",destination="bob"'
    assert f"qnx_tunnel_in_bytes_total{{{place}}} 12345678901" in lines
    assert f"qnx_tunnel_rtt_seconds{{{place}}} 0.0125" in lines


def test_what_is_not_known_is_left_out() -> None:
    hub = Hub("test", is_simulated=True)
    hub.set(HopView(name="a b", source="alice", target="bob", is_up=False, capacity_bps=1e9))

    shown = text(hub)

    assert 'qnx_hop_up{source="alice",target="bob"} 0' in shown
    assert "qnx_hop_delay_seconds" not in shown
    assert "tunnel" not in shown


@pytest.mark.parametrize("state", list(TunnelState))
def test_a_tunnel_is_in_one_state(state: TunnelState) -> None:
    hub = Hub("test", is_simulated=True)
    hub.set(tunnel(state=state))

    ones = [line for line in text(hub).splitlines() if "tunnel_state{" in line and line[-1] == "1"]

    assert len(ones) == 1
    assert f'state="{state.value}"' in ones[0]


def test_a_name_cannot_break_out_of_its_label() -> None:
    hub = Hub("test", is_simulated=True)
    hub.set(tunnel(name='a"} 1\nqnx_evil{x="\\'))

    assert all(line.startswith("# ") or LINE.fullmatch(line) for line in text(hub).splitlines())
