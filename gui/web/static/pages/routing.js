// The plan in force, why, what was expected and what came; and questions to the controller.
import { $, cell, field, h, options, rows, text } from "../dom.js";
import { clock, number, percent, rate } from "../words.js";
import { ask, command } from "../live.js";
import { act, begin, guard, state } from "../shell.js";
import { Chart } from "../charts.js";
import { bar } from "../parts.js";

const chart = new Chart($("forecast-plot"), { isTime: true, legend: $("forecast-legend"), digits: 1 });
let forecasts = [], questions = "";

const routeRow = (route) => h("tr", {}, h("th", { scope: "row" }, `${route.source} – ${route.destination}`), cell(rate(route.demand_bps), "number"),
  h("td", {}, ...route.paths.map((path, index) => h("div.mono", {}, `${percent(route.shares[index])}  ${path.join(" → ")}`))), cell(route.reason));

function objective(plan) {
  const choice = h("select", {}, ...options(plan.objectives, plan.objective));
  const apply = guard(h("button.primary", { type: "submit" }, "Apply"), "operate");
  const form = h("form.controls", {}, field("Aim at", choice), apply);
  form.addEventListener("submit", (event) => { event.preventDefault(); act(apply, "routing/objective", { objective: choice.value, revision: plan.revision }); });
  return form;
}

function whatIf(plan, nodes, hops) {
  const check = (name) => h("label.check", {}, h("input", { type: "checkbox", name: "down", value: name }), name);
  const factor = h("input", { type: "number", min: 0, max: 100, step: 0.1, value: 1 });
  const choice = h("select", {}, ...options(plan.objectives, plan.objective));
  const submit = h("button", { type: "submit" }, "Ask");
  $("what-if").replaceChildren(field("Demand, times", factor), field("Aim at", choice),
    h("fieldset.field", {}, h("legend", {}, "Without"), h("div.checks", {}, ...[...nodes, ...hops].map(check))), submit);
}

$("what-if").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = $("what-if");
  const [factor] = form.querySelectorAll("input[type=number]"), [choice] = form.querySelectorAll("select");
  const down = [...form.querySelectorAll("input:checked")].map((one) => one.value);
  try {
    const plan = await command("routing/what-if", { demand_factor: Number(factor.value), objective: choice.value, down });
    $("answer").replaceChildren(h("p", {}, "Busiest way then: ", h("b", {}, percent(plan.expected_utilisation, 1)), ` · ${plan.routes.length} routes`),
      h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From – to"), h("th", { scope: "col" }, "Paths"))), h("tbody", {}, ...plan.routes.map((route) => h("tr", {}, h("th", { scope: "row" }, `${route.source} – ${route.destination}`),
        h("td", {}, ...route.paths.map((path, index) => h("div.mono", {}, `${percent(route.shares[index])} ${path.join(" → ")}`))))))));
  } catch (error) {
    $("answer").replaceChildren(h("p.inline-problem", {}, error.message));
  }
});

async function loadForecasts() {
  if (!state.all("plan").length || state.status !== "live") return;
  forecasts = await ask("routing/forecasts").catch(() => []);
  const names = forecasts.map((one) => one.name);
  if ([...$("forecast").options].map((one) => one.value).join() !== names.join()) $("forecast").replaceChildren(...options(names, $("forecast").value));
  drawForecast();
}

function drawForecast() {
  const shown = forecasts.find((one) => one.name === $("forecast").value) ?? forecasts[0];
  if (!shown) return;
  chart.draw(shown.times_s, [{ name: "actual", values: shown.actual }, { name: "expected", dash: true, values: shown.expected },
    { name: "low", dash: true, colour: "faint", values: shown.low }, { name: "high", dash: true, colour: "faint", values: shown.high }]);
}

state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  const plan = state.all("plan")[0];
  $("missing").hidden = Boolean(plan);
  $("controller").hidden = !plan;
  if (!plan) return;
  text("plan-note", `revision ${plan.revision}, ${clock(plan.time_s)} · busiest way ${percent(plan.measured_utilisation, 1)}, expected ${percent(plan.expected_utilisation, 1)}`);
  text("plan-reason", plan.reason);
  rows($("experts"), plan.experts.map((name, index) => ({ name, share: plan.shares[index] ?? 0 })), (one) => one.name,
    (one) => h("div.pool-row", {}, h("span", {}, one.name), bar(one.share, "accent"), h("span.mono", {}, `${number(one.share * 100, 1)} %`)));
  rows($("route-rows"), plan.routes, (route) => `${route.source} ${route.destination}`, routeRow, "Nobody sends anything.");
  rows($("objective"), [{ objective: plan.objective, objectives: plan.objectives, revision: plan.revision }], () => "objective", objective);
  rows($("followers"), [...plan.acknowledged.map((name) => ({ name, isGood: true })), ...plan.refused.map((name) => ({ name, isGood: false }))], (one) => one.name,
    (one) => h("p", {}, h(`span.led.${one.isGood ? "ok" : "error"}`, { "aria-hidden": "true" }), one.isGood ? `${one.name} follows it` : one.name), "Nobody yet.");
  const nodes = state.all("node").map((node) => node.name), hops = state.all("hop").map((hop) => hop.name);
  const now = JSON.stringify([nodes, hops, plan.objectives]);
  if (now !== questions) { questions = now; whatIf(plan, nodes, hops); }
});
$("forecast").addEventListener("change", drawForecast);
await begin();
let isFirst = true;
state.onChange(() => { if (isFirst && state.status === "live") { isFirst = false; loadForecasts(); } });
setInterval(loadForecasts, 5000);
