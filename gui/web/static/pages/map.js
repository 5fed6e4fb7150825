// The map in full, and the same as tables.
import { $, cell, h, led, rows } from "../dom.js";
import { duration, known, percent, plain, rate } from "../words.js";
import { begin, state } from "../shell.js";
import { NetworkMap, legend, waysOf } from "../map.js";

const map = new NetworkMap($("map"), { tip: $("map-tip") });
$("map-legend").replaceChildren(legend());
const TONES = { up: "ok", degraded: "warn", blocked: "error", down: "error", idle: "off" };

state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  map.draw(state);
  const ways = waysOf(state.all("link"), state.all("hop")).map((way) => ({
    name: `${way.a} – ${way.b}`, isDown: way.isDown, load: way.load, delay: way.hop?.delay_s, loss: way.hop?.loss,
  }));
  rows($("way-rows"), ways, (way) => way.name, (way) => h("tr", {}, h("th", { scope: "row" }, way.name),
    h("td", {}, led(way.isDown ? "error" : "ok"), way.isDown ? "down" : "up"), cell(percent(way.load, 1), "number"),
    cell(known(way.delay) ? duration(way.delay) : null, "number"), cell(percent(way.loss, 2), "number")), "No way yet.");
  rows($("tunnel-rows"), state.all("tunnel"), (tunnel) => tunnel.name, (tunnel) => h("tr", {}, h("th", { scope: "row" }, tunnel.name),
    h("td", {}, led(TONES[tunnel.state]), plain(tunnel.state), tunnel.message ? h("div.note", {}, tunnel.message) : null),
    cell(tunnel.mode), cell(tunnel.route.join(" → "), "mono"), cell(rate(tunnel.rate_bps), "number")), "No tunnel runs.");
});
await begin();
