// Pieces that several pages show: a link's row, an alarm, a bar of key in stock.
import { cell, h, icon, led } from "./dom.js";
import { LEVEL_ICON, bits, clock, duration, isOpen, isResting, known, number, percent, plain, stateOf, tone, utc } from "./words.js";
import { path } from "./live.js";
import { act, guard, state } from "./shell.js";

export const linkAt = (name) => h("a", { href: `/links/${path(name)}` }, name);

export function startStop(link) {
  const verb = isResting(link) ? "start" : "stop";
  const button = h("button", { type: "button", "aria-label": `${verb === "start" ? "Start" : "Stop"} ${link.name}` }, verb === "start" ? "Start" : "Stop");
  button.addEventListener("click", () => act(button, `links/${path(link.name)}/${verb}`));
  return guard(button, "operate");
}

export function phaseCell(link) {
  const made = h("td", {}, led(tone(link.phase)), plain(link.phase));
  if (link.message) made.append(h("div.note", {}, link.message));
  return made;
}

export const linkRow = (isLong) => (link) => h("tr", {},
  h("th", { scope: "row" }, linkAt(link.name), h("div.note", {}, `${link.alice} – ${link.bob}`)),
  cell(link.protocol.toUpperCase()), phaseCell(link),
  isLong ? cell(`${link.block} · ${link.stage} ${number(link.progress * 100)} %`, "mono") : null,
  cell(isLong && known(link.qber.sigma) ? `${number(link.qber.value * 100, 2)} ± ${number(link.qber.sigma * 100, 2)} %` : percent(link.qber.value, 2), "number"),
  isLong ? cell(number(link.chsh_s.value, 3), "number") : null,
  cell(known(link.secret_rate_bps) ? number(link.secret_rate_bps / 1e3, 2) : null, "number"),
  cell(bits(link.pool_bits), "number"), h("td", {}, startStop(link)));

// What a link's row shows: a change of anything else does not draw it again.
export const linkFacts = (link) => ({
  name: link.name, alice: link.alice, bob: link.bob, protocol: link.protocol, phase: link.phase, message: link.message,
  block: link.block, stage: link.stage, progress: Math.round(link.progress * 50) / 50, qber: { value: link.qber.value, sigma: link.qber.sigma },
  chsh_s: { value: link.chsh_s.value }, secret_rate_bps: link.secret_rate_bps, pool_bits: link.pool_bits,
});

export function alarm(event) {
  const made = h(`div.alarm.level-${event.level}${isOpen(event) ? ".is-open" : ""}`, {}, icon(LEVEL_ICON[event.level]),
    h("div.alarm-words", {}, h("p", {}, event.message),
      h("p.note", { title: utc(event.time_s) }, [event.source, clock(event.time_s), stateOf(event)].filter(Boolean).join(" · "))));
  if (isOpen(event)) made.append(ackButton(event));
  return made;
}

export function ackButton(event) {
  const button = h("button", { type: "button", "aria-label": `Ack event ${event.number}` }, "Ack");
  button.addEventListener("click", () => act(button, `events/${event.number}/acknowledge`));
  return guard(button, "operate");
}

export async function acknowledgeAll(button) {
  for (const event of state.events.filter(isOpen)) {
    if (!await act(button, `events/${event.number}/acknowledge`)) return;
  }
}

export function bar(part, kind, mark = null) {
  const fill = h(`div.fill.fill-${kind}`);
  fill.style.width = `${Math.max(0, Math.min(1, part)) * 100}%`;
  const made = h("div.bar", { "aria-hidden": "true" }, fill);
  if (known(mark)) {
    const line = h("div.reserve");
    line.style.left = `${Math.min(1, mark) * 100}%`;
    made.append(line);
  }
  return made;
}

export function stockTone(pool) {
  const part = pool.capacity_bits ? pool.stock_bits / pool.capacity_bits : 0;
  if (pool.stock_bits <= pool.reserve_bits || part < 0.15) return "error";
  return part < 0.4 || (known(pool.exhausted_in_s) && pool.exhausted_in_s < 3600) ? "warn" : "ok";
}

// Pools as the key managers tell of them; where none does, what each node says of its own stock.
export function pools() {
  const told = state.all("pool");
  if (told.length) return told;
  return state.all("node").filter((node) => node.is_online).map((node) => ({
    name: node.name, node: node.name, peer: "", link: "", stock_bits: node.pool_bits,
    capacity_bits: node.pool_capacity_bits, reserve_bits: 0, in_bps: null, out_bps: null, exhausted_in_s: null, isNode: true,
  }));
}

export const poolBar = (pool) => h("div.pool-row", {}, h("span", {}, pool.isNode ? pool.name : `${pool.node} → ${pool.peer}`),
  bar(pool.stock_bits / (pool.capacity_bits || 1), stockTone(pool), pool.reserve_bits ? pool.reserve_bits / pool.capacity_bits : null),
  h("span.mono", {}, `${bits(pool.stock_bits, 1)}`),
  known(pool.exhausted_in_s) ? h("span.note", {}, `dry in ${duration(pool.exhausted_in_s)}`) : null);

export function kpi(id, value, unit, note, kind = "") {
  for (const [name, said] of [["", value], ["-unit", unit], ["-note", note]]) {
    const at = document.getElementById(`kpi-${id}${name}`);
    if (at.textContent !== said) at.textContent = said;
  }
  document.getElementById(`kpi-${id}-note`).className = `note ${kind}`;
}
