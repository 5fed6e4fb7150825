"""The session as one HTML file: key figures, pictures of the cards, and their numbers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from html import escape
from pathlib import Path

from PySide6.QtCore import QBuffer, QDir, QIODevice
from PySide6.QtWidgets import QFileDialog, QWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.panels.panel import Panel
from gui.desktop.words import NO_DATA, percent, quantity
from qnx_hw.api.schema import LinkView

_MOST_ROWS = 200
_STYLE = """body{font:14px Inter,system-ui,sans-serif;
max-width:1100px;margin:32px auto;color:#17202b}
h1{font-size:24px}h2{font-size:17px;margin-top:32px}table{border-collapse:collapse;font-size:12px}
th,td{border-bottom:1px solid #dde3ea;padding:4px 12px 4px 0;text-align:left}
img{max-width:100%;border:1px solid #dde3ea;border-radius:8px}
.badge{color:#7c4ddb;border:1px solid;border-radius:10px;padding:2px 10px;font-size:12px}"""


def report(desk: Desk, panels: Iterable[Panel], now: datetime) -> str:
    """Return the report; nothing in it comes from outside, and all text is escaped."""
    snapshot = desk.client.snapshot
    name = snapshot.network if snapshot is not None else "no network"
    is_simulated = snapshot is not None and snapshot.is_simulated
    badge = ' <span class="badge">SIMULATED HARDWARE</span>' if is_simulated else ""
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(name)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{escape(name)}{badge}</h1>",
        f"<p>{now:%Y-%m-%d %H:%M:%S %Z} from {escape(desk.client.url)}</p>",
        "<h2>Links</h2>",
        _html(links_table(desk.client.links.values())),
    ]
    for panel in panels:
        parts.append(f"<h2>{escape(panel.windowTitle())}</h2>{_picture(panel)}")
        table = panel.export_table()
        if table is not None and table.rows:
            parts.append(_html(table))
    return "\n".join([*parts, "</body></html>"])


def links_table(links: Iterable[LinkView]) -> Table:
    """Return the key figures of links, as they are read."""
    headings = ("link", "protocol", "phase", "QBER", "CHSH S", "secret key", "ε", "pool", "blocks")
    rows = tuple(
        (
            link.name,
            link.protocol,
            link.phase.value,
            percent(link.qber.value, digits=2),
            NO_DATA if link.chsh_s.value is None else f"{link.chsh_s.value:.3f}",
            quantity(link.secret_rate_bps, "bit/s"),
            f"{link.epsilon:.0e}",
            quantity(link.pool_bits, "bit"),
            f"{link.blocks_done} done, {link.blocks_aborted} aborted",
        )
        for link in links
    )
    return Table(headings, rows)


def _html(table: Table) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in table.headings)
    rows = [
        "<tr>" + "".join(f"<td>{escape(_said(cell))}</td>" for cell in row) + "</tr>"
        for row in table.rows[:_MOST_ROWS]
    ]
    left = len(table.rows) - len(rows)
    more = f"<p>and {left} more rows; export the card for all of them</p>" if left else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"


def _said(cell: object) -> str:
    if cell is None:
        return NO_DATA
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _picture(widget: QWidget) -> str:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    widget.grab().save(buffer, "PNG")
    text = base64.b64encode(bytes(buffer.data().data())).decode()
    title = escape(widget.windowTitle())
    return f'<img alt="{title}" src="data:image/png;base64,{text}">'


def report_tool(desk: Desk, window: QWidget) -> None:
    """Offer the report of what can be seen."""

    def write() -> None:
        now = datetime.now().astimezone()
        start = str(Path(QDir.homePath()) / f"{now:%Y-%m-%d_%H%M%S}_report.html")
        chosen, _ = QFileDialog.getSaveFileName(window, "Write a report", start, "*.html")
        if not chosen:
            return
        shown = [panel for panel in window.findChildren(Panel) if panel.can_be_seen]
        try:
            Path(chosen).write_text(report(desk, shown, now), encoding="utf-8")
        except OSError as error:
            desk.told.emit(f"{chosen} was not written: {error}")
        else:
            desk.told.emit(f"{chosen} written")

    desk.add_action("report", "Write a report (HTML)…", write, keys="Ctrl+Shift+R", icon="list")
