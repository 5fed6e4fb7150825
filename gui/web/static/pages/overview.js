// The overview: draws what the node reports, sends start, stop, acknowledge and the objective.
import { $, field, h, options, rows, text } from "../dom.js";
import { bits, clock, duration, isOpen, known, median, number, percent, rate, scaled } from "../words.js";
import { history } from "../live.js";
import { act, begin, guard, rangePicker, state } from "../shell.js";
import { Chart, fromZero, joined, spark } from "../charts.js";
import { NetworkMap, legend } from "../map.js";
import { acknowledgeAll, alarm, kpi, linkFacts, linkRow, poolBar, pools } from "../parts.js";

const map = new NetworkMap($("map"), { tip: $("map-tip") });
$("map-legend").replaceChildren(legend());
const key = new Chart($("key"), { legend: $("key-legend"), scale: 1e-3, range: fromZero(1) });
let qber = null;
const range = rangePicker($("ranges"), () => drawHistories());

function drawKpis() {
  const links = state.all("link"), tunnels = state.all("tunnel"), hops = state.all("hop"), stock = pools();
  const total = links.reduce((sum, link) => sum + (link.secret_rate_bps ?? 0), 0);
  const active = links.filter((link) => link.phase === "generating");
  const resting = links.filter((link) => link.phase !== "generating").map((link) => link.name);
  kpi("rate", ...scaled(total, "bit/s"), links.length ? `over ${links.length} link${links.length > 1 ? "s" : ""}` : "no link");
  const draw = stock.reduce((sum, pool) => sum + (pool.out_bps ?? 0), 0);
  const held = stock.reduce((sum, pool) => sum + pool.stock_bits, 0);
  kpi("pool", ...scaled(held, "bit"), draw ? `covers ${duration(held / draw)} of demand` : `${stock.length} pool${stock.length === 1 ? "" : "s"}`);
  kpi("links", `${active.length} / ${links.length}`, "", resting.length ? `not: ${resting.slice(0, 3).join(", ")}` : links.length ? "all of them" : "no link", resting.length ? "bad" : "ok");
  const errors = active.map((link) => link.qber.value), limit = Math.min(...links.map((link) => link.qber_limit));
  const middle = median(errors);
  kpi("qber", known(middle) ? number(middle * 100, 2) : "–", "%", links.length ? `limit ${number(limit * 100, 2)} %` : "no data", known(middle) && middle > limit ? "bad" : "");
  const traffic = tunnels.reduce((sum, tunnel) => sum + tunnel.rate_bps, 0);
  kpi("traffic", ...(tunnels.length ? scaled(traffic, "bit/s") : ["–", ""]), tunnels.length ? `${tunnels.filter((one) => one.state === "up").length} of ${tunnels.length} tunnels up` : "no tunnel");
  const busiest = hops.reduce((most, hop) => (hop.capacity_bps && hop.load_bps / hop.capacity_bps > (most?.part ?? -1) ? { name: hop.name, part: hop.load_bps / hop.capacity_bps } : most), null);
  kpi("busy", busiest ? number(busiest.part * 100, 1) : "–", busiest ? "%" : "", busiest ? busiest.name.replace(" ", " → ") : "no traffic is measured", busiest?.part > 0.8 ? "bad" : "");
}

function drawPlan() {
  const plan = state.all("plan")[0];
  text("plan-note", plan ? `revision ${plan.revision}, ${clock(plan.time_s)}` : "");
  rows($("plan"), plan ? [{ objective: plan.objective, objectives: plan.objectives, reason: plan.reason, revision: plan.revision, busy: plan.measured_utilisation }] : [], () => "plan", planForm, "No plan yet. The controller makes one soon after its start; [controller] in the network file names its node.");
}

function planForm(plan) {
  const choice = h("select", { "aria-label": "Objective" }, ...options(plan.objectives, plan.objective));
  const apply = guard(h("button.primary", { type: "submit" }, "Apply"), "operate");
  const form = h("form", {}, field("Objective", choice), plan.reason ? h("p.note", {}, plan.reason) : null,
    h("p", {}, "Busiest way as measured: ", h("b", {}, percent(plan.busy, 1))), h("div.buttons", {}, h("a", { href: "/routing" }, "Plan and forecasts"), h("span.spring"), apply));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(apply, "routing/objective", { objective: choice.value, revision: plan.revision });
  });
  return form;
}

async function drawHistories() {
  if (!state.snapshot || state.status !== "live") return;
  const links = state.all("link"), seconds = range();
  if (links.length && qber === null) {
    qber = new Chart($("qber"), { legend: $("qber-legend"), scale: 100, limit: Math.min(...links.map((link) => link.qber_limit)), limitName: "abort", range: fromZero(5) });
  }
  const [rates, errors] = await Promise.all(["secret_rate_bps", "qber"].map((name) =>
    Promise.all(links.map((link) => history("link", link.name, name, seconds)))));
  const draw = (chart, list) => {
    const [x, values] = joined(list);
    chart?.draw(x, links.map((link, index) => ({ name: link.name, values: values[index] ?? [] })));
    return values;
  };
  const keys = draw(key, rates), shares = draw(qber, errors);
  spark($("spark-rate"), sums(keys), "ok");
  spark($("spark-qber"), (shares[0] ?? []).map((_, at) => median(shares.map((one) => one[at]))), "simulated");
}

const sums = (lists) => (lists[0] ?? []).map((_, at) => lists.reduce((sum, one) => (known(one[at]) ? (sum ?? 0) + one[at] : sum), null));

state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  drawKpis();
  map.draw(state);
  rows($("link-rows"), state.all("link").map(linkFacts), (link) => link.name, linkRow(false), "This network has no link.");
  const open = state.events.filter(isOpen);
  text("alarms-note", open.length ? `${open.length} open` : "none open");
  $("ack-all").hidden = !open.length;
  const told = [...open.reverse(), ...state.events.filter((event) => !isOpen(event)).reverse()].slice(0, 6);
  rows($("alarms"), told, (event) => event.number, alarm, "Nothing happened yet.");
  rows($("pools"), pools().map((pool) => ({ ...pool, in_bps: null, out_bps: null })), (pool) => pool.name, poolBar, "No pool yet.");
  drawPlan();
});
$("ack-all").addEventListener("click", () => acknowledgeAll($("ack-all")));
await begin();
let isFirst = true;
state.onChange(() => { if (isFirst && state.status === "live") { isFirst = false; drawHistories(); } });
setInterval(drawHistories, 3000);
