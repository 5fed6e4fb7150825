// Recordings of time tags: begin, end, list.
import { $, cell, h, rows } from "../dom.js";
import { clock, duration, number, scaled } from "../words.js";
import { ask } from "../live.js";
import { act, begin, state } from "../shell.js";

let finished = [], running = "";

const recordingRow = (view) => h("tr", {}, h("th", { scope: "row" }, view.name, view.is_simulated ? h("div", {}, h("span.pill.small.simulated", {}, "SIMULATED")) : null),
  cell(clock(view.started_s)), cell(duration(view.duration_s), "number"), cell(view.instruments.join(", ")), cell(number(view.tags), "number"),
  cell(scaled(view.size_bytes, "B", 1).join(" "), "number"), cell(number(view.gaps), "number"));

async function load() {
  finished = await ask("recordings").catch(() => []);
  draw();
}

function draw() {
  const now = state.all("recording").find((view) => view.is_running);
  $("stop").hidden = !now;
  $("start").hidden = Boolean(now);
  $("running").textContent = now ? `recording ${now.name}: ${number(now.tags)} tags, ${duration(now.duration_s)}` : "";
  rows($("recording-rows"), finished, (view) => view.name, recordingRow, "No recording yet.");
  if (running && !now) load();
  running = now?.name ?? "";
}
state.onChange(() => { if (state.snapshot && state.status === "live") draw(); });
$("record").addEventListener("submit", (event) => { event.preventDefault(); act($("start"), "recordings/start", { name: $("name").value }); });
$("stop").addEventListener("click", () => act($("stop"), "recordings/stop", {}, load));
await begin();
await load();
