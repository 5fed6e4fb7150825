// uPlot in the colours of the theme. Arrays are replaced, charts are kept.
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function axis(label) {
  return {
    stroke: () => colour("dim"), font: "10px Inter", labelFont: "10px Inter", ticks: { show: false }, label,
    labelSize: label ? 16 : 0, size: 34,
    grid: { stroke: () => colour("line"), width: 1 },
  };
}

export class Chart {
  constructor(element, { names, xLabel = "", isTime = false, bars = false, range = null, limit = null, scale = 1 }) {
    this.element = element;
    this.scale = scale;
    const series = names.map((name, index) => ({
      label: name, width: 1, spanGaps: true,
      stroke: () => colour(`channel-${index % 8}`),
      fill: bars ? () => `${colour("channel-0")}55` : undefined,
      paths: bars ? window.uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: false },
    }));
    if (limit !== null) series.push({ label: "limit", stroke: () => colour("error"), width: 1, dash: [5, 4], points: { show: false } });
    this.limit = limit;
    this.plot = new window.uPlot({
      width: element.clientWidth, height: element.clientHeight,
      cursor: { drag: { x: false, y: false } },
      scales: { x: { time: isTime }, y: range ? { range } : {} },
      axes: [axis(xLabel), axis("")],
      series: [{}, ...series],
    }, [[], ...series.map(() => [])], element);
    new ResizeObserver(() => this.plot.setSize({ width: element.clientWidth, height: element.clientHeight })).observe(element);
  }

  draw(x, ...rows) {
    const scaled = rows.map((row) => row.map((value) => (value === null ? null : value * this.scale)));
    if (this.limit !== null) scaled.push(x.map(() => this.limit * this.scale));
    this.plot.setData([x, ...scaled]);
  }

  recolour() { this.plot.redraw(false); }
}
