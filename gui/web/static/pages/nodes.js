// Nodes and their instruments; an instrument's settings as it holds them.
import { $, cell, h, led, rows } from "../dom.js";
import { bits, known, number, plain } from "../words.js";
import { ask, command, path } from "../live.js";
import { begin, state } from "../shell.js";

const GOOD = ["ready", "busy", "streaming"];
let open = null; // what the dialogue shows: {node, name, held}

function node(view) {
  return h("article.card", {}, h("h2", {}, led(view.is_online ? "ok" : "off"), view.name, h("small", {}, view.is_online ? `${bits(view.pool_bits)} of key in stock` : "runs in another process")),
    view.is_online ? h("div.scroll", { tabindex: 0, role: "region", "aria-label": `Instruments of ${view.name}` }, h("table", {}, h("thead", {}, h("tr", {}, ...["Instrument", "Model", "State", "Readings", "Control"].map((word) => h("th", { scope: "col" }, word)))),
      h("tbody", {}, ...view.instruments.map(instrument)))) : null,
    view.is_online && !view.instruments.length ? h("p.empty", {}, "No instruments.") : null);
}

function instrument(view) {
  const readings = view.readings.map((one) => `${one.name} ${number(one.value, 1)} ${one.unit}`).join(" · ");
  const button = h("button", { type: "button", "aria-label": `Settings of ${view.node} ${view.name}` }, "Settings");
  button.addEventListener("click", () => show(view));
  return h("tr", {}, h("th", { scope: "row" }, led(GOOD.includes(view.state) ? "ok" : "error"), view.name, h("div.note", {}, plain(view.family))),
    h("td", {}, [view.model, view.serial].filter(Boolean).join(" "), h("div", {}, h(`span.pill.small.${view.is_simulated ? "simulated" : "live"}`, {}, view.is_simulated ? "SIMULATED" : "HARDWARE"))),
    cell(view.error ? `${view.state}: ${view.error}` : view.state), cell(readings || "–", "mono"), h("td", {}, button));
}

async function show(view) {
  open = { node: view.node, name: view.name, held: null };
  $("settings-title").textContent = `${view.node} / ${view.name}`;
  $("settings-fields").replaceChildren();
  problem("");
  $("settings").showModal();
  await reload();
}

async function reload() {
  $("settings-note").textContent = "asking the instrument…";
  $("settings-apply").disabled = true;
  try {
    fill(await ask(`instruments/${path(open.node, open.name)}/settings`));
  } catch (error) {
    $("settings-note").textContent = "";
    problem(error.message);
  }
}

function fill(held) {
  open.held = held;
  const names = Object.keys(held.settings).sort();
  $("settings-note").textContent = names.length ? `as the instrument said at ${new Date(held.time_s * 1e3).toLocaleTimeString("en-GB")}` : "this instrument has nothing to set";
  $("settings-fields").replaceChildren(...names.map((name) => setting(name, held.settings[name])));
  $("settings-apply").disabled = false;
  count();
}

function setting(name, value) {
  const kind = typeof value;
  const control = kind === "boolean" ? h("input", { type: "checkbox", checked: value, name })
    : h("input", { type: kind === "number" ? "number" : "text", step: "any", value, name });
  const made = h("label.field", {}, h("span", {}, plain(name)), control, h("small.mono", {}, `held: ${value}`));
  control.addEventListener("input", () => { made.classList.toggle("is-edited", read(control, kind) !== value); count(); });
  return made;
}

const read = (control, kind) => (kind === "boolean" ? control.checked : kind === "number" ? Number(control.value) : control.value);

function edited() {
  const changes = {};
  for (const control of $("settings-fields").querySelectorAll("input")) {
    const held = open.held.settings[control.name], value = read(control, typeof held);
    if (value !== held) changes[control.name] = value;
  }
  return changes;
}

function count() { $("settings-apply").textContent = `Apply${Object.keys(edited()).length ? ` ${Object.keys(edited()).length}` : ""}`; }

function problem(words) { $("settings-problem").textContent = words; $("settings-problem").hidden = !words; }

$("settings-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!open.held || !Object.keys(edited()).length) return;
  problem("");
  $("settings-apply").disabled = true;
  try {
    fill(await command(`instruments/${path(open.node, open.name)}/settings`, { settings: edited(), revision: open.held.revision }));
  } catch (error) {
    problem(error.message);
    $("settings-apply").disabled = false;
  }
});
$("settings-reload").addEventListener("click", () => { problem(""); reload(); });
$("settings-close").addEventListener("click", () => $("settings").close());

const facts = (view) => ({ ...view, instruments: view.instruments.map((one) => ({ ...one, age_s: null, readings: one.readings.map((each) => ({ ...each, value: known(each.value) ? Number(each.value.toPrecision(4)) : null })) })) });
state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  rows($("nodes"), state.all("node").map(facts), (view) => view.name, node, "No node yet.");
});
await begin();
