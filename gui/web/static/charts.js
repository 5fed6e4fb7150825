// uPlot in the colours of the theme, with the legend above: name, colour and newest value.
import { h, svg } from "./dom.js";
import { number, known } from "./words.js";
import { onTheme } from "./shell.js";

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const SYNC = window.uPlot ? window.uPlot.sync("time") : null;

function axis(label, size, values) {
  return {
    ...(values ? { space: 64, values } : {}), stroke: () => colour("dim"), font: "10px Inter", labelFont: "10px Inter", ticks: { show: false }, label,
    labelSize: label ? 16 : 0, size,
    grid: { stroke: () => colour("line"), width: 1 },
  };
}

const stamp = (unit) => new Intl.DateTimeFormat("en-GB", unit);
const SECONDS = stamp({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const HOURS = stamp({ hour: "2-digit", minute: "2-digit" });
const DAYS = stamp({ day: "2-digit", month: "short" });
const times = (_, splits, __, ___, step) => splits.map((at) => (step >= 86400 ? DAYS : step >= 60 ? HOURS : SECONDS).format(at * 1e3));

export class Chart {
  constructor(element, { isTime = true, bars = false, range = null, limit = null, limitName = "limit", scale = 1, digits = 2, xLabel = "", legend = null }) {
    Object.assign(this, { element, isTime, bars, range, limit, limitName, scale, digits, xLabel, legend, names: null, plot: null });
    this.data = null;
    element.setAttribute("role", "img");
    this.tell("");
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(element);
    onTheme(() => { this.plot?.redraw(false); this.drawLegend(); });
  }

  size() { return { width: this.element.clientWidth, height: this.element.clientHeight }; }

  // series: [{name, values, dash?, band?: [low, high]}] over one x.
  draw(x, series) {
    if (!window.uPlot) return;
    const names = series.map((one) => one.name + (one.dash ? "~" : "")).join("\n");
    const rows = series.map((one) => one.values.map((value) => (known(value) ? value * this.scale : null)));
    this.data = [x, ...rows];
    this.series = series;
    if (this.limit !== null) this.data.push(x.map(() => this.limit * this.scale));
    if (names !== this.names) { this.make(series); this.names = names; } else this.plot.setData(this.data);
    this.drawLegend();
    const last = series.map((one, index) => `${one.name} ${number(newest(rows[index]), this.digits)}`).join(", ");
    this.tell(last);
  }

  tell(last) { this.element.setAttribute("aria-label", `Chart: ${last || "no data"}`); }

  make(series) {
    this.plot?.destroy();
    const lines = series.map((one, index) => ({
      label: one.name, width: 1, spanGaps: false, dash: one.dash ? [5, 4] : undefined,
      stroke: () => colour(one.colour ?? `channel-${index % 8}`),
      fill: this.bars ? () => `${colour("channel-0")}55` : undefined,
      paths: this.bars ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: false },
    }));
    const limit = { label: this.limitName, width: 1, dash: [5, 4], stroke: () => colour("error"), points: { show: false } };
    if (this.limit !== null) lines.push(limit);
    this.plot = new window.uPlot({
      ...this.size(),
      cursor: { drag: { x: false, y: false }, ...(this.isTime && SYNC ? { sync: { key: SYNC.key } } : {}) },
      legend: { show: false },
      scales: { x: { time: this.isTime }, y: this.range ? { range: this.range } : {} },
      axes: [axis(this.xLabel, 30, this.isTime ? times : null), axis("", 46)],
      series: [{}, ...lines],
    }, this.data, this.element);
  }

  drawLegend() {
    if (!this.legend || !this.series) return;
    this.legend.replaceChildren(...this.series.map((one, index) => {
      const swatch = h("span.swatch");
      swatch.style.background = colour(one.colour ?? `channel-${index % 8}`);
      return h("span", {}, swatch, one.name, h("b", {}, number(newest(this.data[index + 1]), this.digits)));
    }));
  }
}

function newest(values) {
  for (let index = values.length - 1; index >= 0; index -= 1) if (known(values[index])) return values[index];
  return null;
}

// Put series with times of their own over one x.
export function joined(list) {
  if (!list.length) return [[], []];
  const [x, ...values] = window.uPlot.join(list.map((one) => [one.times_s, one.values]));
  return [x, values];
}

export function spark(element, values, name) {
  const shown = values.filter(known);
  if (shown.length < 2) { element.replaceChildren(); return; }
  const low = Math.min(...shown), span = Math.max(...shown) - low || 1;
  const step = Math.ceil(values.length / 60);
  const thin = values.filter((value, index) => known(value) && index % step === 0);
  const points = thin.map((value, index) => `${(index / (thin.length - 1)) * 70},${20 - ((value - low) / span) * 18}`).join(" ");
  element.replaceChildren(svg("svg", { viewBox: "0 0 70 22", width: 56, height: 22, "aria-hidden": "true" },
    svg("polyline", { points, class: `spark spark-${name}` })));
}

export const fromZero = (least) => (_, low, high) => [0, Math.max(least, (high ?? 0) * 1.15)];
