"""Plots that a frame can afford: painted by the widget itself, scenery once, curves every time."""

from gui.desktop.charts.chart import Chart
from gui.desktop.charts.handle import SpanHandle
from gui.desktop.charts.traces import Band, Bars, Floats, Line, Steps

__all__ = ["Band", "Bars", "Chart", "Floats", "Line", "SpanHandle", "Steps"]
