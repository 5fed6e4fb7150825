// Any quantity of any thing over any time, in lines and in numbers, beside the time before.
import { $, cell, h, options, rows, text } from "../dom.js";
import { known, number, percentile, plain } from "../words.js";
import { ask, history } from "../live.js";
import { begin, rangePicker, state } from "../shell.js";
import { Chart, joined } from "../charts.js";

const chart = new Chart($("analysis"), { legend: $("analysis-legend"), digits: 3 });
const range = rangePicker($("ranges"), () => draw());
let quantities = [], kinds = "", things = "", turn = 0;

function fillQuantities() {
  const names = quantities.filter((one) => one.kind === $("kind").value).map((one) => one.name);
  $("quantity").replaceChildren(...names.map((name) => h("option", { value: name, selected: name === "secret_rate_bps" }, plain(name))));
}

function fillThings() {
  const names = state.all($("kind").value).map((view) => view.name);
  if (`${$("kind").value}\n${names.join("\n")}` === things) return;
  things = `${$("kind").value}\n${names.join("\n")}`;
  $("things").replaceChildren(...names.map((name, index) => {
    const box = h("input", { type: "checkbox", value: name, checked: index < 4 });
    box.addEventListener("change", draw);
    return h("label.check", {}, box, name);
  }));
  draw();
}

async function draw() {
  const kind = $("kind").value, name = $("quantity").value, seconds = range(), mine = ++turn;
  if (!kind || !name) return;
  const chosen = [...$("things").querySelectorAll("input:checked")].map((box) => box.value);
  const isCompared = $("compare").checked, now = Date.now() / 1e3;
  const [present, before] = await Promise.all([
    Promise.all(chosen.map((thing) => history(kind, thing, name, seconds))),
    isCompared ? Promise.all(chosen.map((thing) => history(kind, thing, name, seconds, now - seconds))) : [],
  ]);
  if (mine !== turn) return;
  const shifted = before.map((series) => ({ ...series, times_s: series.times_s.map((at) => at + seconds) }));
  const [x, values] = joined([...present, ...shifted]);
  chart.draw(x, [...present, ...shifted].map((series, index) => ({
    name: index < chosen.length ? chosen[index] : `${chosen[index - chosen.length]}, before`, values: values[index] ?? [],
    dash: index >= chosen.length, colour: `channel-${(index % chosen.length) % 8}`,
  })));
  const unit = quantities.find((one) => one.kind === kind && one.name === name)?.unit;
  text("analysis-title", `${plain(name)}${unit ? `, ${unit}` : ""}`);
  text("numbers-note", unit ? `in ${unit}` : "");
  const numbers = present.map((series, index) => ({ thing: chosen[index], kind, name, seconds, ...summary(series), before: shifted[index] ? summary(shifted[index]).mean : null }));
  rows($("number-rows"), numbers, (one) => one.thing, numberRow, "Choose what to look at.");
}

function summary(series) {
  const values = series.values.filter(known), sorted = [...values].sort((a, b) => a - b);
  const lows = series.low.length ? series.low.filter(known) : sorted, highs = series.high.length ? series.high.filter(known) : sorted;
  const extreme = (pick, list) => (list.length ? list.reduce((one, other) => pick(one, other)) : null);
  return { least: extreme(Math.min, lows), p5: percentile(sorted, 0.05), median: percentile(sorted, 0.5), p95: percentile(sorted, 0.95), most: extreme(Math.max, highs),
    mean: values.length ? values.reduce((sum, one) => sum + one, 0) / values.length : null };
}

const digits = (value) => (known(value) && Math.abs(value) < 10 ? 4 : 1);
function numberRow(one) {
  const query = new URLSearchParams({ kind: one.kind, link: one.thing, name: one.name, seconds: one.seconds });
  return h("tr", {}, h("th", { scope: "row" }, one.thing), ...["least", "p5", "median", "p95", "most", "mean", "before"].map((name) => cell(number(one[name], digits(one[name])), "number")),
    h("td", {}, h("a", { href: `/api/v1/history.csv?${query}`, download: `${one.thing}-${one.name}.csv`, "aria-label": `CSV of ${one.thing}` }, "CSV")));
}

state.onChange(() => {
  if (!state.snapshot || state.status !== "live" || !quantities.length) return;
  const there = [...new Set(quantities.map((one) => one.kind))].filter((kind) => state.all(kind).length);
  if (there.join() !== kinds) {
    kinds = there.join();
    $("kind").replaceChildren(...options(there, there.includes("link") ? "link" : there[0]));
    fillQuantities();
  }
  fillThings();
});
$("kind").addEventListener("change", () => { fillQuantities(); fillThings(); });
$("quantity").addEventListener("change", draw);
$("compare").addEventListener("change", draw);
quantities = await ask("history/quantities");
await begin();
setInterval(() => { if (state.status === "live" && range() <= 3600) draw(); }, 5000);
