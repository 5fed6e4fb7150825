// The network as a map: nodes with their stock of key, ways with their load in colour and width.
import { h, svg } from "./dom.js";
import { bits, isResting, known, number, percent, rate, tone } from "./words.js";
import { colour } from "./charts.js";
import { history, path } from "./live.js";

const WIDTH = 900, HEIGHT = 460, RADIUS = 26;
const LOADS = ["ok", "ok", "load-2", "warn", "load-4", "error"];

export class NetworkMap {
  constructor(element, { tip = null } = {}) {
    this.element = element;
    this.tip = tip;
    this.sign = "";
  }

  draw(state) {
    const nodes = state.all("node"), links = state.all("link"), hops = state.all("hop");
    const shown = [nodes.map((node) => [node.name, node.is_online, node.position, node.pool_bits]),
      links.map((link) => [link.name, link.phase, Math.round(link.secret_rate_bps ?? 0)]),
      hops.map((hop) => [hop.name, hop.is_up, Math.round((hop.load_bps / hop.capacity_bps) * 100)])];
    const sign = JSON.stringify(shown);
    if (sign === this.sign) return;
    this.sign = sign;
    const places = place(nodes);
    const ways = waysOf(links, hops).filter((way) => places.has(way.a) && places.has(way.b));
    this.element.replaceChildren(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true", class: "map" },
      ...ways.map((way) => this.way(way, places)), ...nodes.map((node) => this.node(node, places.get(node.name))),
      ...ways.map((way) => label(way, places))),
    h("ul.sr-only", { "aria-label": "Ways" }, ...ways.map((way) => h("li", {}, `${way.a} to ${way.b}: ${words(way)}`))),
    h("ul.sr-only", { "aria-label": "Nodes" }, ...nodes.map((node) =>
      h("li", {}, `${node.name}: ${node.is_online ? "online" : "runs elsewhere"}, ${bits(node.pool_bits)} of key`))));
  }

  way(way, places) {
    const a = places.get(way.a), b = places.get(way.b);
    const load = known(way.load) ? way.load : 0;
    const kind = way.isDown ? "down" : known(way.load) ? LOADS[Math.min(5, Math.floor(load * 6))] : way.tone;
    const line = { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: `way way-${kind}`, "stroke-width": way.isDown ? 2 : 2.5 + 5 * Math.min(1, load) };
    const target = svg("line", { ...line, class: "way-touch", "stroke-width": 22 });
    target.addEventListener("pointerenter", () => this.show(way));
    target.addEventListener("click", () => this.show(way));
    return svg("g", {}, svg("line", line), target);
  }

  node(node, at) {
    const part = node.pool_capacity_bits ? Math.min(1, node.pool_bits / node.pool_capacity_bits) : 0;
    const around = 2 * Math.PI * RADIUS;
    const kind = !node.is_online ? "off" : part < 0.15 ? "error" : part < 0.4 ? "warn" : "ok";
    const faults = node.instruments.filter((one) => !["ready", "busy", "streaming"].includes(one.state)).length;
    return svg("g", { class: "node" },
      svg("circle", { cx: at.x, cy: at.y, r: RADIUS, class: "node-disc" }),
      svg("circle", { cx: at.x, cy: at.y, r: RADIUS, class: `ring ring-${kind}`, "stroke-dasharray": `${around * part} ${around}`, transform: `rotate(-90 ${at.x} ${at.y})` }),
      svg("text", { x: at.x, y: at.y + 4, class: "node-part" }, node.is_online ? `${number(part * 100)}%` : "–"),
      svg("text", { x: at.x, y: at.y + (at.y > HEIGHT * 0.5 ? 1 : -1) * (RADIUS + 14) + 4, class: "node-name" }, node.name),
      faults ? svg("circle", { cx: at.x + RADIUS * 0.75, cy: at.y - RADIUS * 0.75, r: 6, class: "node-fault" }) : null);
  }

  async show(way) {
    if (!this.tip) return;
    const open = way.link ? h("a", { href: `/links/${path(way.link.name)}` }, way.link.name) : `${way.a} – ${way.b}`;
    this.tip.replaceChildren(h("p", {}, open, h("span.note", {}, ` ${words(way)}`)));
    const series = way.link ? await history("link", way.link.name, "secret_rate_bps", 3600)
      : await history("hop", way.hop.name, "utilisation", 3600);
    const values = series.values.filter(known);
    if (values.length) {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const shown = way.link ? rate : (value) => percent(value);
      this.tip.append(h("p.note", {}, `last hour: ${shown(low)} to ${shown(high)}`));
    }
  }
}

function place(nodes) {
  const xs = nodes.map((node) => node.position[0]), ys = nodes.map((node) => node.position[1]);
  const spread = (values, value) => {
    const low = Math.min(...values), high = Math.max(...values);
    return high - low < 0.05 ? 0.5 : (value - low) / (high - low);
  };
  return new Map(nodes.map((node) => [node.name,
    { x: 80 + spread(xs, node.position[0]) * (WIDTH - 160), y: 70 + spread(ys, node.position[1]) * (HEIGHT - 150) }]));
}

export function waysOf(links, hops) {
  const ways = new Map();
  const at = (one, other) => {
    const [a, b] = [one, other].sort();
    const name = `${a} ${b}`;
    if (!ways.has(name)) ways.set(name, { a, b, load: null, link: null, hop: null, isDown: false, tone: "ok" });
    return ways.get(name);
  };
  for (const link of links) {
    const way = at(link.alice, link.bob);
    Object.assign(way, { link, tone: tone(link.phase), isDown: isResting(link) });
  }
  for (const hop of hops) {
    const way = at(hop.source, hop.target);
    way.hop = hop;
    way.isDown = !hop.is_up;
    if (hop.capacity_bps) way.load = Math.max(way.load ?? 0, hop.load_bps / hop.capacity_bps);
  }
  return [...ways.values()];
}

function words(way) {
  if (way.isDown) return way.link && way.link.phase !== "generating" ? way.link.phase.replace("_", " ") : "down";
  return [way.link ? rate(way.link.secret_rate_bps ?? 0, 1) : "", known(way.load) ? percent(way.load) : ""].filter(Boolean).join(" · ");
}

function label(way, places) {
  const a = places.get(way.a), b = places.get(way.b), said = words(way);
  const x = (a.x + b.x) / 2, y = (a.y + b.y) / 2, width = said.length * 6.4 + 18;
  return svg("g", { class: `way-label${way.isDown ? " is-down" : ""}` },
    svg("rect", { x: x - width / 2, y: y - 11, width, height: 22, rx: 11 }), svg("text", { x, y: y + 4 }, said));
}

export const legend = () => h("p.map-legend", {}, "load 0 %", h("span.ramp", { "aria-hidden": "true" }), "100 %",
  h("span", {}, "ring = key in stock"), h("span", {}, "label = secret key rate · load"));
export { colour };
