// Building and filling elements. Text from the network only ever becomes text.
export const $ = (id) => document.getElementById(id);

export function h(kind, attributes = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  return fill(made, attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const icon = (name) => h(`span.icon.icon-${name}`, { "aria-hidden": "true" });
export const led = (tone) => h(`span.led.${tone || "off"}`, { "aria-hidden": "true" });
export const text = (id, value) => { const at = $(id); if (at && at.textContent !== value) at.textContent = value; };

// Keep one child for each item: unchanged ones stay, and a focused control keeps its focus.
export function rows(container, items, key, render, empty = "") {
  const known = container.known ?? new Map();
  const next = new Map();
  const made = items.map((item) => {
    const name = key(item);
    const sign = JSON.stringify(item);
    const old = known.get(name);
    const entry = old && old.sign === sign ? old : { sign, element: render(item) };
    if (old && old !== entry) entry.focus = focusedPlace(old.element);
    next.set(name, entry);
    return entry;
  });
  container.known = next;
  const wanted = made.map((entry) => entry.element);
  if (!wanted.length && empty) {
    const isTable = container.tagName === "TBODY";
    wanted.push(isTable ? h("tr", {}, h("td.empty", { colspan: 12 }, empty)) : h("p.empty", {}, empty));
  }
  const same = wanted.length === container.children.length && wanted.every((one, index) => container.children[index] === one);
  if (same || (!items.length && container.querySelector(".empty")?.textContent === empty)) return;
  container.replaceChildren(...wanted);
  for (const entry of made) {
    if (entry.focus >= 0) controls(entry.element)[entry.focus]?.focus();
    entry.focus = -1;
  }
}

const controls = (element) => [...element.querySelectorAll("button,a,input,select")];
// A control that rests while its command runs lost the focus; `act` marks it.
const focusedPlace = (element) => controls(element).findIndex((one) => one === document.activeElement || one.dataset.focused === "yes");

export const cell = (value, kind = "") => h(`td${kind ? `.${kind}` : ""}`, {}, value ?? "–");
export const field = (label, control, hint = "") => h("label.field", {}, h("span", {}, label), control, hint ? h("small", {}, hint) : null);
export const options = (values, chosen) => values.map((value) => h("option", { value, selected: value === chosen }, value));
