// What every page has: the live mark, the theme, the user, the count of alarms, and one way to act.
import { LiveState, ask, command } from "./live.js";
import { $, text } from "./dom.js";
import { isOpen } from "./words.js";

export const state = new LiveState();
export let me = { name: "", right: "view", is_login_needed: false };
const RIGHTS = ["view", "operate", "admin"];
export const may = (right) => RIGHTS.indexOf(me.right) >= RIGHTS.indexOf(right);

const WORDS = { live: "LIVE", stale: "STALE", lost: "NODE LOST" };
state.onChange(() => {
  text("live-word", WORDS[state.status]);
  $("live").className = `pill ${state.status}`;
  $("main").classList.toggle("is-stale", state.status !== "live");
  if (!state.snapshot) return;
  $("simulated").hidden = !state.snapshot.is_simulated;
  const open = state.events.filter(isOpen).length;
  $("alarm-count").hidden = !open;
  text("alarm-count", String(open));
});

export function say(sentence, kind = "error") {
  const place = $("problem");
  place.className = `problem ${kind}`;
  place.textContent = sentence;
  place.hidden = !sentence;
}

// Run a command from a control: it rests meanwhile, and a refusal is told in the node's words.
export async function act(control, place, body = {}, done = null) {
  if (document.activeElement === control) control.dataset.focused = "yes";
  control.disabled = true;
  say("");
  try {
    const answer = await command(place, body);
    if (done) await done(answer);
    return answer;
  } catch (error) {
    say(error.message);
    return null;
  } finally {
    control.disabled = false;
    if (control.dataset.focused && control.isConnected && document.activeElement === document.body) control.focus();
    delete control.dataset.focused;
  }
}

export function guard(control, right) {
  if (!may(right)) { control.disabled = true; control.title = `this needs the right to ${right}`; }
  return control;
}

const redraws = [];
export const onTheme = (redraw) => redraws.push(redraw);
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  redraws.forEach((redraw) => redraw());
});
$("menu").addEventListener("click", () => {
  const isShown = $("pages").classList.toggle("is-shown");
  $("menu").setAttribute("aria-expanded", String(isShown));
});
$("logout").addEventListener("click", () => act($("logout"), "logout", {}, () => location.assign("/login")));

export async function begin() {
  me = await ask("me");
  text("user-name", me.name);
  text("user-right", me.is_login_needed ? `right: ${me.right}` : "no login on this machine");
  text("user-mark", me.name.slice(0, 2).toUpperCase());
  $("logout").hidden = !me.is_login_needed;
  for (const control of document.querySelectorAll("[data-needs]")) guard(control, control.dataset.needs);
  state.start();
}

export const RANGES = { "15 min": 900, "1 h": 3600, "24 h": 86400, "7 d": 604800, "30 d": 2592000 };
export function rangePicker(container, changed) {
  let chosen = localStorage.getItem("range");
  if (!(chosen in RANGES)) chosen = "1 h";
  for (const name of Object.keys(RANGES)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(name === chosen));
    button.addEventListener("click", () => {
      chosen = name;
      localStorage.setItem("range", name);
      for (const other of container.children) other.setAttribute("aria-pressed", String(other === button));
      changed(RANGES[name]);
    });
    container.append(button);
  }
  return () => RANGES[chosen];
}
