"""A card as a picture or a table, in a file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QDir, QPoint
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QFileDialog, QWidget

if TYPE_CHECKING:
    from gui.desktop.panels.panel import Panel

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Table:
    """What a card shows, as rows below headings; units stand in the headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def save_png(widget: QWidget, path: Path) -> None:
    """Write what a widget shows as it stands on the screen."""
    if not widget.grab().save(str(path), "PNG"):
        raise OSError(f"cannot write {path}")


def save_svg(widget: QWidget, path: Path) -> None:
    """Write what a widget shows as vectors."""
    generator = QSvgGenerator()
    generator.setFileName(str(path))
    generator.setSize(widget.size())
    generator.setViewBox(widget.rect())
    generator.setTitle(widget.windowTitle())
    painter = QPainter()
    if not painter.begin(generator):
        raise OSError(f"cannot write {path}")
    widget.render(painter, QPoint())
    painter.end()


def save_csv(table: Table, path: Path) -> None:
    """Write a table; numbers as they are, nothing where nothing was measured."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.headings)
        writer.writerows(table.rows)


def save_parquet(table: Table, path: Path) -> None:
    """Write a table as Parquet: numbers as doubles, all else as text, null where none is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [list(column) for column in zip(*table.rows, strict=True)] or [
        [] for _ in table.headings
    ]
    arrays = [
        pa.array([None if cell is None else float(cell) for cell in column], pa.float64())
        if _is_numeric(column)
        else pa.array([None if cell is None else str(cell) for cell in column], pa.string())
        for column in columns
    ]
    pq.write_table(pa.table(arrays, names=list(table.headings)), path)


def _is_numeric(column: list[Cell]) -> bool:
    known = [cell for cell in column if cell is not None]
    return bool(known) and all(isinstance(cell, int | float) for cell in known)


def ask_and_save(panel: Panel, kind: str) -> None:
    """Ask where, and write a card as `png`, `svg`, `csv` or `parquet`."""
    day = datetime.now().astimezone()
    name = f"{day:%Y-%m-%d_%H%M%S}_{panel.objectName()}.{kind}"
    chosen, _ = QFileDialog.getSaveFileName(
        panel, f"Export {panel.windowTitle()}", str(Path(QDir.homePath()) / name), f"*.{kind}"
    )
    if not chosen:
        return
    try:
        save(panel, kind, Path(chosen))
    except OSError as error:
        panel.desk.told.emit(f"{chosen} was not written: {error}")
    else:
        panel.desk.told.emit(f"{chosen} written")


def save(panel: Panel, kind: str, path: Path) -> None:
    """Write a card as `png`, `svg`, `csv` or `parquet`."""
    if kind in ("csv", "parquet"):
        if (table := panel.export_table()) is not None:
            (save_csv if kind == "csv" else save_parquet)(table, path)
    else:
        (save_svg if kind == "svg" else save_png)(panel, path)
