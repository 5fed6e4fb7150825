// The node's state, kept current by its event stream. Subscribers get the whole state, at most ten times a second.
const STALE_MS = 2000;

export class LiveState {
  constructor() {
    this.snapshot = null;
    this.links = new Map();
    this.nodes = new Map();
    this.events = [];
    this.listeners = [];
    this.status = "lost";
    this.lastHeard = 0;
    this.isDirty = false;
    this.source = null;
  }

  onChange(listener) { this.listeners.push(listener); }

  start() {
    this.open();
    setInterval(() => this.tick(), 100);
  }

  open() {
    const source = new EventSource("/api/v1/stream");
    this.source = source;
    source.addEventListener("snapshot", (message) => this.reset(JSON.parse(message.data)));
    source.addEventListener("link", (message) => this.put(this.links, JSON.parse(message.data)));
    source.addEventListener("node", (message) => this.put(this.nodes, JSON.parse(message.data)));
    source.addEventListener("event", (message) => this.addEvent(JSON.parse(message.data)));
    source.addEventListener("alive", () => { this.lastHeard = performance.now(); });
    source.onerror = () => {
      // A closed source never comes back by itself; a connecting one does.
      if (source.readyState === EventSource.CLOSED && this.source === source) {
        this.source = null;
        setTimeout(() => this.open(), 1000);
      }
    };
  }

  reset(snapshot) {
    this.snapshot = snapshot;
    this.links = new Map(snapshot.links.map((link) => [link.name, link]));
    this.nodes = new Map(snapshot.nodes.map((node) => [node.name, node]));
    this.events = [...snapshot.events];
    this.heard();
  }

  put(table, item) { table.set(item.name, item); this.heard(); }

  addEvent(event) {
    const known = this.events.findIndex((other) => other.number === event.number);
    if (known >= 0) this.events[known] = event; else this.events.push(event);
    this.events = this.events.slice(-500);
    this.heard();
  }

  heard() { this.lastHeard = performance.now(); this.isDirty = true; }

  tick() {
    const age = performance.now() - this.lastHeard;
    const status = !this.snapshot ? "lost" : age < STALE_MS ? "live" : age < 5 * STALE_MS ? "stale" : "lost";
    if (status !== this.status) { this.status = status; this.isDirty = true; }
    if (!this.isDirty) return;
    this.isDirty = false;
    for (const listener of this.listeners) listener(this);
  }
}

export async function command(path) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-QNX-Client": "dashboard" },
    body: "{}",
  });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ error: `the node answered ${answer.status}` }));
    throw new Error(problem.error);
  }
  return answer.json();
}

export async function history(link, name, seconds) {
  const query = new URLSearchParams({ link, name, seconds });
  const answer = await fetch(`/api/v1/history?${query}`);
  return answer.ok ? answer.json() : { times_s: [], values: [] };
}
