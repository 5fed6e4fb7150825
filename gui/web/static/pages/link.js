// One link: its light, its errors, its key, and what steers it.
import { $, field, h, led, options, rows, text } from "../dom.js";
import { bits, known, measured, number, plain, scaled, short, tone } from "../words.js";
import { history, path } from "../live.js";
import { act, begin, guard, onTheme, rangePicker, state } from "../shell.js";
import { Chart, colour, fromZero } from "../charts.js";
import { kpi, startStop } from "../parts.js";

const NAME = decodeURIComponent(location.pathname.split("/").pop());
const LABELS = ["H", "V", "D", "A"];
const WINDOW_S = 60;
$("title").textContent = NAME;
document.title = `${NAME} · Quantum Nexus`;
const times = [], rates = Array.from({ length: 8 }, () => []);
const range = rangePicker($("ranges"), () => drawHistories());
const charts = {
  rates: new Chart($("rates"), { isTime: false, legend: $("rates-legend"), digits: 1, xLabel: "s" }),
  histogram: new Chart($("histogram"), { isTime: false, bars: true, xLabel: "delay (ns)" }),
  key: new Chart($("key"), { legend: $("key-legend"), scale: 1e-3, range: fromZero(1) }),
};

function drawKpis(link) {
  kpi("rate", ...scaled(link.secret_rate_bps, "bit/s"), `finite key, ε = ${link.epsilon.toExponential(0)}`);
  kpi("pool", ...scaled(link.pool_bits, "bit"), link.last_block_secret_bits ? `+ ${bits(link.last_block_secret_bits)} last block` : "no block yet", "ok");
  const part = (estimate) => (known(estimate.value) ? number(estimate.value * 100, 2) : "–");
  const isBad = known(link.qber.value) && link.qber.value > link.qber_limit;
  kpi("qber", `${part(link.qber_z)} | ${part(link.qber_x)}`, "%", `limit ${number(link.qber_limit * 100, 2)} %`, isBad ? "bad" : "ok");
  const s = link.chsh_s;
  kpi("chsh", number(s.value, 3), known(s.sigma) ? `± ${number(s.sigma, 3)}` : "", s.sigma ? `${number((s.value - 2) / s.sigma)} σ above 2` : "no data", s.value > 2 ? "ok" : "");
  kpi("coincidences", ...scaled(link.coincidence_rate_cps, "cps"), known(link.car) ? `CAR ${number(link.car, 1)} · ${number(link.window_ps / 1e3, 2)} ns window` : "no data");
  const clock = link.clock;
  kpi("clock", clock.is_locked ? "locked" : "not locked", "", known(clock.offset_ps) ? `${number(clock.offset_ps / 1e6, 3)} µs · ${number(clock.drift_ppb, 0)} ppb · ${number(clock.jitter_ps, 0)} ps` : "no data", clock.is_locked ? "ok" : "");
}

function drawRates(link) {
  const now = performance.now() / 1e3;
  times.push(now);
  const series = ["alice", "bob"].flatMap((station, row) => LABELS.map((label, column) => {
    const found = link.rates.find((one) => one.station === station && one.label === label);
    const values = rates[row * 4 + column];
    values.push(found ? found.rate_cps / 1e3 : null);
    return { name: `${station[0].toUpperCase()}·${label}`, values };
  }));
  while (times.length && times[0] < now - WINDOW_S) { times.shift(); rates.forEach((values) => values.shift()); }
  charts.rates.draw(times.map((time) => time - now), series);
}

function drawHistogram(histogram) {
  const x = histogram.counts.map((_, index) => (histogram.start_ps + (index + 0.5) * histogram.bin_ps) / 1e3);
  charts.histogram.draw(x, [{ name: "coincidences", values: histogram.counts }]);
  text("histogram-note", known(histogram.fwhm_ps) ? `peak ${number(histogram.peak_ps / 1e3, 3)} ns · FWHM ${number(histogram.fwhm_ps / 1e3, 2)} ns` : "delay in ns");
}

function drawMatrix(matrix) {
  const largest = Math.max(1, ...matrix.flat()), total = Math.max(1, matrix.flat().reduce((sum, one) => sum + one, 0));
  const role = (name, said) => h("span", { role: name }, said);
  const head = h("div", { role: "row" }, ["", ...LABELS].map((label) => role("columnheader", label ? `B·${label}` : "A \\ B")));
  $("matrix").replaceChildren(head, ...matrix.map((counts, index) => h("div", { role: "row" }, role("rowheader", `A·${LABELS[index]}`),
    counts.map((count) => {
      const made = h("span", { role: "cell" }, count.toLocaleString("en"), h("small", {}, `${number((count / total) * 100, 1)} %`));
      const step = Math.round((count / largest) * 5);
      made.style.background = colour(`heat-${step}`);
      made.className = `heat-${step}`;
      return made;
    }))));
}

function control(link) {
  const window_ = h("input", { type: "number", min: 10, max: 1000000, step: 10, value: link.window_ps, required: true });
  const apply = guard(h("button", { type: "submit" }, "Set window"), "operate");
  const form = h("form.controls", {}, field("Coincidence window, ps", window_, "the session starts anew"), apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(apply, `links/${path(NAME)}/window`, { window_ps: Number(window_.value), expected_ps: link.window_ps });
  });
  return h("div", {}, h("p", {}, led(tone(link.phase)), plain(link.phase), link.message ? h("span.note", {}, ` ${link.message}`) : null), startStop(link), form);
}

function loop(view) {
  const button = (word, verb) => {
    const made = guard(h("button", { type: "button", "aria-label": `${word} ${view.name}` }, word), "operate");
    made.addEventListener("click", () => act(made, `loops/${path(view.name)}/${verb}`));
    return made;
  };
  const algorithm = view.algorithms.length ? h("select", { "aria-label": `Algorithm of ${view.name}` }, ...options(view.algorithms, view.algorithm)) : null;
  const target = known(view.target) ? h("input", { type: "number", step: "any", value: view.target, "aria-label": `Target of ${view.name}` }) : null;
  const set = guard(h("button", { type: "submit" }, "Set"), "operate");
  const form = h("form.controls", {}, algorithm, target, algorithm || target ? set : null);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(set, `loops/${path(view.name)}/settings`, {
      algorithm: algorithm && algorithm.value !== view.algorithm ? algorithm.value : null, expected_algorithm: algorithm ? view.algorithm : null,
      target: target && Number(target.value) !== view.target ? Number(target.value) : null, expected_target: target ? view.target : null,
    });
  });
  const states = { tracking: "ok", searching: "warn", holding: "off", idle: "off", fault: "error" };
  const { value, sigma } = view.residual, state_ = view.stokes.at(-1);
  const numbers = [
    known(value) ? `residual ${measured(value, sigma)} ${view.unit}`.trim() : null,
    state_ ? `state estimated at S = (${state_.map((one) => number(one, 3)).join(", ")})` : null,
    ...view.axes.map((axis) => `${axis.name} ${known(axis.requested) ? `set to ${short(axis.requested)}, ` : ""}at ${short(axis.actual)} ${axis.unit}`),
  ];
  return h("div.loop", {}, h("p", {}, led(states[view.state]), h("b", {}, plain(view.kind)), ` ${view.state}`, h("span.note", {}, ` ${view.instrument} ${view.message}`)),
    h("p.mono", {}, numbers.filter(Boolean).join(" · ")),
    h("div.buttons", {}, view.state === "holding" ? button("Resume", "resume") : button("Hold", "hold"), button("Re-lock", "relock"), form));
}

let qber = null;
async function drawHistories() {
  const link = state.tables.link.get(NAME);
  if (!link || state.status !== "live") return;
  qber ??= new Chart($("qber"), { legend: $("qber-legend"), scale: 100, limit: link.qber_limit, limitName: "abort", range: fromZero(5) });
  const [key, z, x] = await Promise.all(["secret_rate_bps", "qber_z", "qber_x"].map((name) => history("link", NAME, name, range())));
  charts.key.draw(key.times_s, [{ name: "secret", values: key.values }]);
  if (z.times_s.length === x.times_s.length) qber.draw(z.times_s, [{ name: "Z", values: z.values }, { name: "X", values: x.values }]);
}

let drawn = null;
state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  const link = state.tables.link.get(NAME);
  $("missing").hidden = Boolean(link);
  if (!link) { text("missing", `There is no link '${NAME}' here.`); return; }
  drawKpis(link);
  if (link.rates.length && link !== drawn) drawRates(link);
  if (link.histogram && link.histogram !== drawn?.histogram) drawHistogram(link.histogram);
  if (link.matrix.length) drawMatrix(link.matrix);
  rows($("control"), [{ name: link.name, phase: link.phase, message: link.message, window_ps: link.window_ps }], () => "control", control);
  rows($("loops"), state.all("loop").filter((one) => one.link === NAME), (one) => one.name, loop, "No closed loop works on this link.");
  drawn = link;
});
onTheme(() => { if (drawn?.matrix.length) drawMatrix(drawn.matrix); });
await begin();
let isFirst = true;
state.onChange(() => { if (isFirst && state.status === "live") { isFirst = false; drawHistories(); } });
setInterval(drawHistories, 3000);
