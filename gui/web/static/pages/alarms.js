// Everything that was told, what is still open, and what is under maintenance.
import { $, cell, h, icon, options, rows, text } from "../dom.js";
import { LEVEL_ICON, clock, isOpen, isTrouble, stateOf, utc } from "../words.js";
import { path } from "../live.js";
import { act, begin, guard, state } from "../shell.js";
import { ackButton, acknowledgeAll } from "../parts.js";

const FILTERS = { Open: isOpen, Alarms: isTrouble, All: () => true };
let filter = "Open", sources = "";
for (const name of Object.keys(FILTERS)) {
  const button = h("button", { type: "button", "aria-pressed": String(name === filter) }, name);
  button.addEventListener("click", () => {
    filter = name;
    for (const other of $("filter").children) other.setAttribute("aria-pressed", String(other === button));
    draw();
  });
  $("filter").append(button);
}

const eventRow = (event) => h("tr", {}, h("td.mono", { title: utc(event.time_s) }, clock(event.time_s)),
  h(`td.level.level-${event.level}`, {}, icon(LEVEL_ICON[event.level]), event.level), cell(event.source, "mono"), cell(event.message),
  h("td", {}, isOpen(event) ? ackButton(event) : stateOf(event)));

function maintenance(view) {
  const end = guard(h("button", { type: "button", "aria-label": `End maintenance of ${view.name}` }, "End"), "operate");
  end.addEventListener("click", () => act(end, `maintenance/${path(view.name)}/end`));
  return h("div.alarm", {}, icon("settings-2"), h("div.alarm-words", {}, h("p", {}, view.name), h("p.note", {}, `until ${clock(view.until_s)} · ${view.by} · ${view.reason || "no reason given"}`)), end);
}

function draw() {
  if (!state.snapshot || state.status !== "live") return;
  const open = state.events.filter(isOpen).length;
  text("events-note", `${open} open`);
  $("ack-all").hidden = !open;
  rows($("event-rows"), state.events.filter(FILTERS[filter]).reverse(), (event) => event.number, eventRow, "Nothing to see here.");
  rows($("maintenances"), state.all("maintenance").filter((view) => view.is_active), (view) => view.name, maintenance, "Nothing is under maintenance.");
  const nodes = state.all("node");
  const names = [...state.all("link").map((link) => link.name), ...nodes.map((node) => node.name), ...nodes.flatMap((node) => node.instruments.map((one) => `${one.node} ${one.name}`))];
  if (names.join("\n") !== sources) { sources = names.join("\n"); $("source").replaceChildren(...options(names, $("source").value)); }
}
state.onChange(draw);
$("ack-all").addEventListener("click", () => acknowledgeAll($("ack-all")));
$("maintenance").addEventListener("submit", (event) => {
  event.preventDefault();
  act($("maintenance").querySelector("button"), `maintenance/${path($("source").value)}/start`, { minutes: Number($("minutes").value), reason: $("reason").value });
});
await begin();
