// The network file as a form, built from its schema; nothing is written before it was reviewed.
import { $, h, rows, text } from "../dom.js";
import { clock, plain } from "../words.js";
import { ask, command } from "../live.js";
import { begin, guard, say } from "../shell.js";

let file = null, edits = new Map(), pending = null;

const defined = (schema) => (schema?.$ref ? file.json_schema.$defs[schema.$ref.split("/").pop()] : schema);
const branch = (schema) => defined(schema?.anyOf ? schema.anyOf.find((one) => one.type !== "null") : schema);
const doc = (schema) => schema?.description ?? "";

function table(schema, values, place, depth) {
  const properties = schema.properties ?? {};
  const fields = [], tables = [];
  for (const [name, raw] of Object.entries(properties)) {
    if (name === "bench") continue;
    const inner = branch(raw), here = [...place, name], value = values?.[name];
    if (inner?.type === "object" && inner.properties) tables.push(section(name, table(inner, value, here, depth + 1), depth, doc(inner)));
    else if (inner?.type === "object") tables.push(entries(name, inner, value ?? {}, here, depth));
    else fields.push(control(name, raw, inner, value, here));
  }
  return h("div", {}, fields.length ? h("div.fields", {}, ...fields) : null, ...tables);
}

function entries(name, schema, values, place, depth) {
  const inner = branch(schema.additionalProperties);
  const named = Object.entries(values);
  if (!named.length) return null;
  if (!inner?.properties) {
    return section(name, h("div.fields", {}, ...named.map(([key, value]) => control(key, { default: value }, schemaOf(value), value, [...place, key]))), depth);
  }
  return section(name, h("div", {}, ...named.map(([key, value]) => section(key, table(inner, value, [...place, key], depth + 2), depth + 1))), depth);
}

const schemaOf = (value) => ({ type: typeof value === "boolean" ? "boolean" : typeof value === "number" ? "number" : "string" });

function section(name, inner, depth, words = "") {
  if (!inner) return null;
  return h("details.section", { open: depth < 1 }, h("summary", {}, name, words ? h("small", {}, words.split(". ")[0].replace(/^`?\[[^\]]*\]`?(: )?/, "").replaceAll("`", "")) : null), inner);
}

function control(name, raw, schema, value, place) {
  const fallback = raw.default ?? schema?.default;
  const shown = value ?? fallback;
  const kind = schema?.enum ? "enum" : schema?.type ?? "string";
  const input = kind === "enum" ? h("select", {}, ...schema.enum.map((one) => h("option", { value: one, selected: one === shown }, one)))
    : kind === "boolean" ? h("input", { type: "checkbox", checked: shown })
      : ["integer", "number"].includes(kind) ? h("input", { type: "number", step: kind === "integer" ? 1 : "any", min: schema.minimum, max: schema.maximum, value: shown ?? "" })
        : h("input", { type: "text", value: Array.isArray(shown) ? shown.join(", ") : shown ?? "", pattern: schema?.pattern, maxlength: schema?.maxLength });
  const read = () => {
    if (kind === "boolean") return input.checked;
    if (input.value === "") return null;
    if (["integer", "number"].includes(kind)) return Number(input.value);
    if (kind === "array") return input.value.split(",").map((one) => (Number.isNaN(Number(one)) ? one.trim() : Number(one)));
    return input.value;
  };
  const hint = [limits(schema), fallback !== undefined && value === undefined ? "default" : ""].filter(Boolean).join(" · ");
  const made = h("label.field", { "data-path": place.join(".") }, h("span", {}, plain(name)), input, h("small", {}, hint), h("small.wrong", {}));
  const before = JSON.stringify(shown ?? null);
  input.addEventListener("input", () => {
    const after = read(), key = place.join("\n");
    if (JSON.stringify(after) === before) edits.delete(key); else edits.set(key, { path: place, value: after });
    made.classList.toggle("is-edited", edits.has(key));
    made.querySelector(".wrong").textContent = input.validity.valid ? "" : input.validationMessage;
    count();
  });
  return made;
}

function limits(schema) {
  const low = schema?.minimum ?? schema?.exclusiveMinimum, high = schema?.maximum ?? schema?.exclusiveMaximum;
  return low !== undefined && high !== undefined ? `${low} to ${high}` : low !== undefined ? `from ${low}` : high !== undefined ? `up to ${high}` : "";
}

function count() {
  text("changed", edits.size ? `${edits.size} value${edits.size > 1 ? "s" : ""} changed, not applied` : "nothing changed");
  $("discard").disabled = !edits.size;
  $("review").disabled = !edits.size;
  guard($("review"), "admin");
}

function show(settings) {
  file = settings;
  edits = new Map();
  text("file-note", `${file.file} · revision ${file.revision}`);
  $("restart").hidden = !file.needs_restart;
  const opened = new Set([...document.querySelectorAll("details[open] > summary")].map((one) => one.textContent));
  $("form").replaceChildren(table(file.json_schema.$ref ? defined(file.json_schema) : file.json_schema, file.values, [], 0));
  for (const summary of document.querySelectorAll("details > summary")) if (opened.has(summary.textContent)) summary.parentElement.open = true;
  count();
}

async function load() {
  try {
    show(await ask("settings"));
  } catch (error) {
    $("missing").hidden = false;
    text("missing", error.message);
    return;
  }
  const versions = await ask("settings/versions").catch(() => []);
  rows($("versions"), versions, (one) => one.number, version, "It was not changed from here yet.");
}

function version(one) {
  const back = guard(h("button", { type: "button", "aria-label": `Revert to file ${one.number}` }, "Revert…"), "admin");
  back.addEventListener("click", async () => {
    try {
      review(await ask(`settings/versions/${one.number}`), "settings/revert", { number: one.number });
    } catch (error) { say(error.message); }
  });
  return h("div.alarm", {}, h("div.alarm-words", {}, h("p", {}, one.words || "no value changed"), h("p.note", {}, `${clock(one.time_s)} · ${one.who}`)), back);
}

function review(preview, place, body) {
  pending = { place, body: { ...body, revision: preview.revision } };
  $("differences").replaceChildren(...preview.differences.map((one) => h("li", {}, h("b", {}, one.path.join(".")), ` ${said(one.before)} → ${said(one.after)} `,
    h("span.note", {}, one.is_live ? "in force at once" : "from the next start"))));
  $("lines").replaceChildren(...preview.lines.map((line) => h(`span${line.startsWith("+") ? ".added" : line.startsWith("-") ? ".removed" : ""}`, {}, `${line}\n`)));
  $("comments").hidden = !preview.loses_comments;
  $("diff-problem").hidden = true;
  $("apply").disabled = false;
  guard($("apply"), "admin");
  $("diff").showModal();
}

const said = (value) => (value === null || value === undefined ? "(default)" : JSON.stringify(value));

function blame(error) {
  const last = error.field.split(".").pop();
  for (const made of document.querySelectorAll("#form .is-edited")) {
    if (last && made.dataset.path.split(".").pop() === last) made.querySelector(".wrong").textContent = error.message;
  }
  say(error.message);
}

$("review").addEventListener("click", async () => {
  say("");
  const body = { revision: file.revision, changes: [...edits.values()] };
  try {
    review(await command("settings/preview", body), "settings/apply", body);
  } catch (error) { blame(error); }
});
$("apply").addEventListener("click", async () => {
  $("apply").disabled = true;
  try {
    await command(pending.place, pending.body);
    $("diff").close();
    await load();
  } catch (error) {
    $("diff-problem").textContent = error.message;
    $("diff-problem").hidden = false;
  }
});
$("cancel").addEventListener("click", () => $("diff").close());
$("discard").addEventListener("click", () => { say(""); load(); });
await begin();
await load();
