// The node's state, kept current by its event stream, and the way to ask and command it.
import { isStanding } from "./words.js";

const STALE_MS = 3000;
const KINDS = ["node", "link", "pool", "loop", "tunnel", "hop", "plan", "recording", "maintenance"];

export class LiveState {
  constructor() {
    this.snapshot = null;
    this.tables = Object.fromEntries(KINDS.map((kind) => [kind, new Map()]));
    this.events = [];
    this.listeners = [];
    this.status = "lost";
    this.lastHeard = 0;
    this.isDirty = false;
    this.source = null;
  }

  all(kind) { return [...this.tables[kind].values()]; }

  onChange(listener) { this.listeners.push(listener); }

  start() {
    this.open();
    setInterval(() => this.tick(), 200);
  }

  open() {
    const source = new EventSource("/api/v1/stream");
    this.source = source;
    source.addEventListener("snapshot", (message) => this.reset(JSON.parse(message.data)));
    for (const kind of KINDS) {
      source.addEventListener(kind, (message) => {
        const view = JSON.parse(message.data);
        this.tables[kind].set(view.name, view);
        this.heard();
      });
    }
    source.addEventListener("event", (message) => this.addEvent(JSON.parse(message.data)));
    source.addEventListener("alive", () => { this.lastHeard = performance.now(); });
    source.onopen = () => { this.lastHeard = performance.now(); };
    source.onerror = () => {
      // A closed source never comes back by itself; a connecting one does.
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        this.source = null;
        ask("me").catch(() => null);
        setTimeout(() => this.open(), 1000);
      }
    };
  }

  reset(snapshot) {
    this.snapshot = snapshot;
    for (const kind of KINDS) {
      this.tables[kind] = new Map((snapshot[`${kind}s`] ?? []).map((view) => [view.name, view]));
    }
    this.events = [...snapshot.events];
    this.heard();
  }

  addEvent(event) {
    const place = this.events.findIndex((other) => other.number === event.number);
    if (place >= 0) this.events[place] = event; else this.events.push(event);
    const passed = this.events.findIndex((other) => !isStanding(other));
    if (this.events.length > 500) this.events.splice(Math.max(passed, 0), 1);
    this.heard();
  }

  heard() { this.lastHeard = performance.now(); this.isDirty = true; }

  tick() {
    const age = performance.now() - this.lastHeard;
    const status = !this.snapshot ? "lost" : age < STALE_MS ? "live" : age < 4 * STALE_MS ? "stale" : "lost";
    if (status !== this.status) { this.status = status; this.isDirty = true; }
    if (!this.isDirty) return;
    this.isDirty = false;
    for (const listener of this.listeners) listener(this);
  }
}

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.error);
    this.status = status;
    this.field = problem.field ?? "";
  }
}

let csrf = "";
export const path = (...parts) => parts.map(encodeURIComponent).join("/");

export async function ask(place, query = null) {
  const answer = await fetch(`/api/v1/${place}${query ? `?${new URLSearchParams(query)}` : ""}`, { cache: "no-store" });
  const value = await read(answer);
  if (place === "me") csrf = value.csrf;
  return value;
}

export async function command(place, body = {}) {
  return read(await fetch(`/api/v1/${place}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-QNX-Client": "dashboard", "X-QNX-Token": csrf },
    body: JSON.stringify(body),
  }));
}

async function read(answer) {
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({ error: `the node answered ${answer.status}` }));
  if (answer.status === 401) {
    location.assign("/login");
    return new Promise(() => {}); // the page is being left
  }
  throw new Refusal(answer.status, problem);
}

const EMPTY = { times_s: [], values: [], low: [], high: [], unit: "" };
export const history = (kind, link, name, seconds, end_s = null) =>
  ask("history", { kind, link, name, seconds, ...(end_s ? { end_s } : {}) }).catch(() => EMPTY);
