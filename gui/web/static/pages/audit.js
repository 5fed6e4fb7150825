// Who changed what.
import { $, cell, h, rows } from "../dom.js";
import { clock, utc } from "../words.js";
import { ask } from "../live.js";
import { begin, say } from "../shell.js";

let shown = [];

const auditRow = (row) => h("tr", {}, h("td.mono", { title: utc(row.time_s) }, clock(row.time_s)), cell(row.who), cell(row.address, "mono"), cell(row.what, "mono"),
  cell(row.before), cell(row.after), h(`td.${row.status < 400 ? "level-ok" : "level-warning"}`, {}, row.status < 400 ? "done" : `${row.status}: ${row.error}`));

async function load(before = null) {
  try {
    const page = await ask("audit", { words: $("words").value, ...(before ? { before } : {}) });
    shown = before ? [...shown, ...page.rows] : page.rows;
    rows($("audit-rows"), shown, (row) => row.number, auditRow, "Nothing was changed yet.");
    $("older").hidden = !page.more;
  } catch (error) { say(error.message); }
}
$("search").addEventListener("submit", (event) => { event.preventDefault(); load(); });
$("older").addEventListener("click", () => load(shown[shown.length - 1].number));
await begin();
await load();
