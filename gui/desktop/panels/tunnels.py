"""Tunnels of user traffic: state, mode, key policy, route, key draw, queue."""

from __future__ import annotations

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.panels.panel import Panel
from gui.desktop.traffic.rows import Column, RowsModel
from gui.desktop.traffic.table import RowsTable
from gui.desktop.words import quantity, span
from qnx_hw.api.traffic import TunnelState, TunnelView

_MODES = {"aes-256-gcm": "AES-256-GCM", "otp": "one-time pad"}


class TunnelsPanel(Panel):
    """One row for each tunnel; a degraded one says by which policy it goes on."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("tunnels", "Tunnels", "workflow", desk)
        self.rows: RowsModel[TunnelView] = RowsModel(self._columns())
        self.view = RowsTable("Tunnels", self.rows, wide=4)
        self.body.addWidget(self.view, 1)

    def refresh(self) -> None:
        """Draw the newest tunnels."""
        tunnels = self.client.tunnels
        self.rows.show_views(tunnels.values())
        up = sum(tunnel.state is TunnelState.UP for tunnel in tunnels.values())
        rate = sum(tunnel.rate_bps for tunnel in tunnels.values())
        words = f"{up} of {len(tunnels)} up, {quantity(rate, 'bit/s')}"
        self.subtitle.setText(words if tunnels else "no tunnel")

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.view.viewport().update()

    def export_table(self) -> Table | None:
        """Return all tunnels."""
        return self.view.table()

    def _columns(self) -> tuple[Column[TunnelView], ...]:
        def tint(tunnel: TunnelView) -> str:
            colours = self.look.colours
            return {
                TunnelState.UP: colours.ok,
                TunnelState.IDLE: colours.dim,
                TunnelState.DEGRADED: colours.warn,
            }.get(tunnel.state, colours.error)

        def mode(tunnel: TunnelView) -> str:
            return _MODES.get(tunnel.mode, tunnel.mode)

        def failed(tunnel: TunnelView) -> str:
            return self.look.colours.error if tunnel.failures else ""

        return (
            Column("tunnel", lambda t: t.name, lambda t: t.name),
            Column("state", _state, lambda t: t.state.value, colour=tint),
            Column("mode", mode, lambda t: t.mode),
            Column("key short", lambda t: t.policy.value, lambda t: t.policy.value),
            Column("route", lambda t: " → ".join(t.route), lambda t: " ".join(t.route)),
            Column(
                "rate", lambda t: quantity(t.rate_bps, "bit/s"), lambda t: t.rate_bps,
                "rate (bit/s)", is_number=True,
            ),
            Column(
                "key draw", lambda t: quantity(t.key_draw_bps, "bit/s"), lambda t: t.key_draw_bps,
                "key draw (bit/s)", is_number=True,
            ),
            Column("queue", _queue, lambda t: t.queue_bytes, "queue (B)", is_number=True),
            Column(
                "refused", lambda t: str(t.failures), lambda t: t.failures, colour=failed,
                is_number=True,
            ),
        )  # fmt: skip


def _state(tunnel: TunnelView) -> str:
    """Say how a tunnel is; one that is not well also says why."""
    why = f": {tunnel.message}" if tunnel.message and tunnel.state is not TunnelState.UP else ""
    return f"{tunnel.state.value}{why}"


def _queue(tunnel: TunnelView) -> str:
    if not tunnel.queue_bytes:
        return "empty"
    age = f", {span(tunnel.queue_age_s)}" if tunnel.queue_age_s is not None else ""
    return f"{quantity(tunnel.queue_bytes, 'B')}{age}"
