// Key in stock, and when it runs dry if it goes on like this.
import { $, cell, h, options, rows, text } from "../dom.js";
import { bits, duration, known, rate } from "../words.js";
import { history } from "../live.js";
import { begin, rangePicker, state } from "../shell.js";
import { Chart } from "../charts.js";
import { bar, pools, stockTone } from "../parts.js";

const chart = new Chart($("stock"), { legend: $("stock-legend"), scale: 1e-3, digits: 1, range: (_, low, high) => [0, Math.max(1, high * 1.1)] });
const range = rangePicker($("ranges"), () => draw());
let names = "";

async function draw() {
  const pool = pools().find((one) => one.name === $("pool").value);
  if (!pool || state.status !== "live") return;
  const seconds = range();
  const past = await history(pool.isNode ? "node" : "pool", pool.name, pool.isNode ? "pool_bits" : "stock_bits", seconds);
  const forecast = forecastOf(past, pool, seconds);
  const x = [...past.times_s, ...forecast.times_s];
  chart.draw(x, [
    { name: "stock, kbit", values: [...past.values, ...forecast.times_s.map(() => null)] },
    { name: "if it goes on so", dash: true, colour: "warn", values: [...past.times_s.map((_, at) => (at === past.times_s.length - 1 ? past.values[at] : null)), ...forecast.values] },
  ]);
  text("forecast-note", known(forecast.dry_s) ? `runs dry in ${duration(forecast.dry_s)} if it goes on so` : "does not run dry as it goes");
}

// A straight line through the shown past, by least squares; the key manager's own forecast counts first.
function forecastOf(past, pool, seconds) {
  const points = past.times_s.map((at, index) => [at, past.values[index]]).filter(([, value]) => known(value));
  if (points.length < 3) return { times_s: [], values: [], dry_s: pool.exhausted_in_s };
  const last = points[points.length - 1];
  const n = points.length, mx = points.reduce((sum, [at]) => sum + at, 0) / n, my = points.reduce((sum, [, value]) => sum + value, 0) / n;
  const top = points.reduce((sum, [at, value]) => sum + (at - mx) * (value - my), 0);
  const below = points.reduce((sum, [at]) => sum + (at - mx) ** 2, 0) || 1;
  const slope = known(pool.exhausted_in_s) && pool.exhausted_in_s > 0 ? -last[1] / pool.exhausted_in_s : top / below;
  const dry_s = slope < 0 ? last[1] / -slope : null;
  const ahead = Math.min(seconds / 2, dry_s ?? Infinity);
  const times_s = [0.25, 0.5, 0.75, 1].map((part) => last[0] + part * ahead);
  return { times_s, values: times_s.map((at) => Math.max(0, last[1] + slope * (at - last[0]))), dry_s: known(dry_s) && dry_s < 30 * 86400 ? dry_s : null };
}

state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  const shown = pools();
  rows($("pool-rows"), shown, (pool) => pool.name, (pool) => h("tr", {}, h("th", { scope: "row" }, pool.isNode ? pool.name : `${pool.node} → ${pool.peer}`),
    cell(pool.isNode ? "its links" : pool.link || "relay"),
    h("td.bar-cell", {}, bar(pool.stock_bits / (pool.capacity_bits || 1), stockTone(pool), pool.reserve_bits ? pool.reserve_bits / pool.capacity_bits : null)),
    cell(`${bits(pool.stock_bits)} of ${bits(pool.capacity_bits, 0)}`, "number"), cell(rate(pool.in_bps), "number"), cell(rate(pool.out_bps), "number"),
    cell(known(pool.exhausted_in_s) ? `in ${duration(pool.exhausted_in_s)}` : "not as it goes")), "No pool yet.");
  const now = shown.map((pool) => pool.name).join("\n");
  if (now !== names) {
    names = now;
    $("pool").replaceChildren(...options(shown.map((pool) => pool.name), $("pool").value));
    draw();
  }
});
$("pool").addEventListener("change", draw);
await begin();
setInterval(draw, 5000);
