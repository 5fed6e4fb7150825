// The overview page: draws what the node reports, sends start and stop.
import { LiveState, command, history } from "./live.js";
import { Chart, colour } from "./charts.js";

const $ = (id) => document.getElementById(id);
const LABELS = ["H", "V", "D", "A"];
const WINDOW_S = 60;
const state = new LiveState();
const rateTimes = [];
const rateRows = Array.from({ length: 8 }, () => []);
let charts = null;

const number = (value, digits) => (value === null || value === undefined ? "–" : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));

function bits(value) {
  for (const [size, unit] of [[1e9, "Gbit"], [1e6, "Mbit"], [1e3, "kbit"]]) if (value >= size) return [number(value / size, 2), unit];
  return [number(value, 0), "bit"];
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function kpi(id, value, unit, note, kind = "") {
  $(`kpi-${id}`).textContent = value;
  $(`kpi-${id}-unit`).textContent = unit;
  $(`kpi-${id}-note`).textContent = note;
  $(`kpi-${id}-note`).className = `note ${kind}`;
}

function drawKpis(links, nodes) {
  const first = links[0];
  const rate = links.reduce((sum, link) => sum + (link.secret_rate_bps ?? 0), 0);
  const active = links.filter((link) => link.phase === "generating").length;
  const [pool, poolUnit] = bits(Math.max(0, ...links.map((link) => link.pool_bits)));
  kpi("rate", number(rate / 1e3, 2), "kbit/s", first ? `finite key, ε = ${first.epsilon.toExponential(0)}` : "no link");
  kpi("pool", pool, poolUnit, first?.last_block_secret_bits ? `+ ${bits(first.last_block_secret_bits).join(" ")} last block` : "no block yet", "ok");
  kpi("links", `${active} / ${links.length}`, "", `${nodes.filter((node) => node.is_online).length} nodes online`);
  if (!first) return;
  const percent = (estimate) => (estimate.value === null ? "–" : number(estimate.value * 100, 2));
  const bad = first.qber.value !== null && first.qber.value > first.qber_limit;
  kpi("qber", `${percent(first.qber_z)} | ${percent(first.qber_x)}`, "%", `limit ${number(first.qber_limit * 100, 2)} %`, bad ? "bad" : "ok");
  const chsh = first.chsh_s;
  kpi("chsh", number(chsh.value, 3), chsh.sigma === null ? "" : `± ${number(chsh.sigma, 3)}`,
    chsh.sigma ? `${number((chsh.value - 2) / chsh.sigma, 0)} σ above 2` : "no data", chsh.value > 2 ? "ok" : "");
  kpi("coincidences", number(first.coincidence_rate_cps === null ? null : first.coincidence_rate_cps / 1e3, 2), "kcps",
    first.car === null ? "no data" : `CAR ${number(first.car, 1)} · ${number(first.window_ps / 1e3, 2)} ns window`);
}

function linkRow(link) {
  const row = element("tr");
  const state_ = element("td", link.phase.replace("_", " "));
  const tone = { generating: "ok", fault: "error", stopped: "", idle: "" }[link.phase] ?? "warn";
  state_.prepend(element("span", undefined, `led ${tone}`));
  if (link.message) state_.append(element("div", link.message, "note"));
  const control = element("td");
  const isStopped = link.phase === "stopped" || link.phase === "idle" || link.phase === "fault";
  const button = element("button", isStopped ? "Start" : "Stop");
  button.type = "button";
  button.setAttribute("aria-label", `${button.textContent} ${link.name}`);
  button.addEventListener("click", () => act(button, `/api/v1/links/${encodeURIComponent(link.name)}/${isStopped ? "start" : "stop"}`));
  control.append(button);
  row.append(element("td", `${link.alice} ↔ ${link.bob}`), element("td", link.protocol.toUpperCase()), state_,
    element("td", `${link.block} · ${link.stage} ${number(link.progress * 100, 0)} %`, "mono"),
    element("td", link.qber.value === null ? "–" : `${number(link.qber.value * 100, 2)} %`, "number"),
    element("td", number(link.secret_rate_bps === null ? null : link.secret_rate_bps / 1e3, 2), "number"),
    element("td", bits(link.pool_bits).join(" "), "number"), control);
  return row;
}

async function act(button, path) {
  button.disabled = true;
  $("problem").hidden = true;
  try {
    await command(path);
  } catch (error) {
    $("problem").textContent = error.message;
    $("problem").hidden = false;
  }
}

function instrumentRow(instrument) {
  const row = element("tr");
  const name = element("td", `${instrument.node} / ${instrument.name}`);
  const good = ["ready", "busy", "streaming"].includes(instrument.state);
  name.prepend(element("span", undefined, `led ${good ? "ok" : "error"}`));
  const kind = element("td");
  kind.append(element("span", instrument.is_simulated ? "SIMULATED" : "HARDWARE", instrument.is_simulated ? "pill simulated" : "pill live"));
  const readings = instrument.readings.map((reading) => `${reading.name} ${number(reading.value, 1)} ${reading.unit}`).join(" · ");
  row.append(name, element("td", [instrument.model, instrument.serial].filter(Boolean).join(" ")),
    element("td", instrument.error ? `${instrument.state}: ${instrument.error}` : instrument.state),
    element("td", readings || "–", "mono"), kind);
  return row;
}

function eventRow(event) {
  const row = element("tr");
  const time = element("td", new Date(event.time_s * 1e3).toLocaleTimeString("en-GB"), "mono");
  time.title = new Date(event.time_s * 1e3).toISOString();
  row.append(time, element("td", event.level, `level-${event.level}`), element("td", event.source, "mono"), element("td", event.message));
  return row;
}

function replaceRows(id, rows) {
  // Keep the focused button: its row is redrawn once the focus has left.
  if ($(id).contains(document.activeElement) && !document.activeElement.disabled && $(id).children.length === rows.length) return;
  $(id).replaceChildren(...rows);
}

function drawRates(link) {
  const now = Date.now() / 1e3;
  rateTimes.push(now);
  const legend = [];
  for (const [row, station] of ["alice", "bob"].entries()) {
    for (const [column, label] of LABELS.entries()) {
      const found = link.rates.find((rate) => rate.station === station && rate.label === label);
      rateRows[row * 4 + column].push(found ? found.rate_cps / 1e3 : null);
      const entry = element("span");
      const swatch = element("span", undefined, "swatch");
      swatch.style.background = colour(`channel-${row * 4 + column}`);
      entry.append(swatch, `${station[0].toUpperCase()}·${label}`, element("b", number(found ? found.rate_cps / 1e3 : null, 1)));
      legend.push(entry);
    }
  }
  while (rateTimes.length && rateTimes[0] < now - WINDOW_S) { rateTimes.shift(); rateRows.forEach((row) => row.shift()); }
  $("rates-note").textContent = `kcps, last ${WINDOW_S} s`;
  $("rates-legend").replaceChildren(...legend);
  charts.rates.draw(rateTimes.map((time) => time - now), ...rateRows);
}

function drawMatrix(matrix) {
  const largest = Math.max(1, ...matrix.flat());
  const cell = (text, role) => { const made = element("span", text); made.setAttribute("role", role); return made; };
  const row = (cells) => { const made = element("div"); made.setAttribute("role", "row"); made.append(...cells); return made; };
  const rows = [row(["", ...LABELS].map((label) => cell(label && `B·${label}`, "columnheader")))];
  for (const [index, counts] of matrix.entries()) {
    rows.push(row([cell(`A·${LABELS[index]}`, "rowheader"), ...counts.map((count) => {
      const made = cell(count.toLocaleString("en"), "cell");
      const step = Math.round((count / largest) * 5);
      made.style.background = colour(`heat-${step}`);
      made.style.color = (step > 2) === (document.documentElement.dataset.theme === "light") ? "#ffffff" : step > 2 ? "#0a0e14" : colour("text");
      return made;
    })]));
  }
  $("matrix").replaceChildren(...rows);
}

function drawHistogram(histogram) {
  const x = histogram.counts.map((_, index) => (histogram.start_ps + (index + 0.5) * histogram.bin_ps) / 1e3);
  charts.histogram.draw(x, histogram.counts);
  $("histogram-note").textContent = histogram.fwhm_ps === null ? "delay in ns" :
    `peak ${number(histogram.peak_ps / 1e3, 3)} ns · FWHM ${number(histogram.fwhm_ps / 1e3, 2)} ns`;
}

function makeCharts(link) {
  charts = {
    rates: new Chart($("rates"), { names: LABELS.concat(LABELS), xLabel: "s" }),
    histogram: new Chart($("histogram"), { names: ["coincidences"], bars: true, xLabel: "delay (ns)" }),
    key: new Chart($("key"), { names: ["secret"], isTime: true, scale: 1e-3, range: (_, low, high) => [0, Math.max(1, high * 1.1)] }),
    errors: new Chart($("errors"), { names: ["Z", "X"], isTime: true, scale: 100, limit: link.qber_limit, range: (_, low, high) => [0, Math.max(high * 1.1, 5)] }),
  };
}

async function drawHistories() {
  const link = [...state.links.values()][0];
  if (!charts || !link || state.status !== "live") return;
  const [key, z, x] = await Promise.all(["secret_rate_bps", "qber_z", "qber_x"].map((name) => history(link.name, name, 3600)));
  charts.key.draw(key.times_s, key.values);
  if (z.times_s.length === x.times_s.length) charts.errors.draw(z.times_s, z.values, x.values);
}

state.onChange(() => {
  const live = $("live");
  live.textContent = { live: "LIVE", stale: "STALE", lost: "NODE LOST" }[state.status];
  live.className = `pill ${state.status}`;
  $("main").classList.toggle("is-stale", state.status !== "live");
  if (!state.snapshot || state.status !== "live") return;
  const links = [...state.links.values()];
  const nodes = [...state.nodes.values()];
  $("simulated").hidden = !state.snapshot.is_simulated;
  drawKpis(links, nodes);
  replaceRows("link-rows", links.map(linkRow));
  replaceRows("instrument-rows", nodes.flatMap((node) => node.instruments.map(instrumentRow)));
  replaceRows("event-rows", state.events.slice(-50).reverse().map(eventRow));
  const link = links[0];
  if (!link || !window.uPlot) return;
  if (!charts) makeCharts(link);
  if (link.rates.length) drawRates(link);
  if (link.histogram) drawHistogram(link.histogram);
  if (link.matrix.length) drawMatrix(link.matrix);
});

$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  Object.values(charts ?? {}).forEach((chart) => chart.recolour());
});

state.start();
setInterval(drawHistories, 2000);
