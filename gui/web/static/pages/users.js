// Users, tokens, and one's own password.
import { $, cell, h, options, rows } from "../dom.js";
import { clock } from "../words.js";
import { ask, command, path } from "../live.js";
import { act, begin, may, me, say } from "../shell.js";

const RIGHTS = ["view", "operate", "admin"];

function userRow(user) {
  const choice = h("select", { "aria-label": `Right of ${user.name}` }, ...options(RIGHTS, user.right));
  choice.addEventListener("change", async () => { await act(choice, `users/${path(user.name)}`, { right: choice.value }); load(); });
  const remove = h("button", { type: "button", "aria-label": `Remove ${user.name}` }, "Remove");
  confirmed(remove, () => act(remove, `users/${path(user.name)}/remove`, {}, load));
  return h("tr", {}, h("th", { scope: "row" }, user.name), h("td", {}, choice), cell(user.last_login_s ? clock(user.last_login_s) : "never"), h("td", {}, remove));
}

function tokenRow(token) {
  const remove = h("button", { type: "button", "aria-label": `End token ${token.number}` }, "End");
  confirmed(remove, () => act(remove, `tokens/${token.number}/remove`, {}, load));
  return h("tr", {}, h("th", { scope: "row" }, token.name, h("div.note", {}, token.scopes.join(", ") || "all subjects")), cell(token.owner), cell(token.right),
    cell(token.expires_s ? clock(token.expires_s) : "never"), cell(token.last_used_s ? clock(token.last_used_s) : "never"), h("td", {}, remove));
}

// What cannot be undone is asked twice, by the same button.
function confirmed(button, done) {
  const word = button.textContent;
  button.addEventListener("click", () => {
    if (button.textContent === word) { button.textContent = "Sure?"; button.classList.add("danger"); return; }
    done();
  });
  button.addEventListener("blur", () => { button.textContent = word; button.classList.remove("danger"); });
}

async function load() {
  const isAdmin = may("admin");
  $("open").hidden = me.is_login_needed;
  $("users-card").hidden = !isAdmin;
  $("password-card").hidden = !me.csrf;
  $("add-token").hidden = !me.csrf;
  if (isAdmin) rows($("user-rows"), await ask("users"), (user) => user.name, userRow, "No users.");
  rows($("token-rows"), await ask("tokens"), (token) => token.number, tokenRow, "No tokens.");
}

$("user-rights").replaceChildren(...options(RIGHTS, "view"));
$("add-user").addEventListener("submit", async (event) => {
  event.preventDefault();
  const made = await act($("add-user").querySelector("button"), "users", { name: $("user-new").value, password: $("user-password").value, right: $("user-rights").value });
  if (!made) return;
  $("add-user").reset();
  load();
});
$("add-token").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = { name: $("token-new").value, right: $("token-rights").value, scopes: $("token-scopes").value.split(/[\s,]+/).filter(Boolean), days: $("token-days").value ? Number($("token-days").value) : null };
  const made = await act($("add-token").querySelector("button"), "tokens", body);
  if (!made) return;
  $("made").replaceChildren(h("p", {}, "The token, shown this once:"), h("output.token", {}, made.token));
  $("add-token").reset();
  load();
});
$("password").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await command("password", { old: $("old").value, new: $("new").value });
    location.assign("/login");
  } catch (error) { say(error.message); }
});
await begin();
$("token-rights").replaceChildren(...options(RIGHTS.filter(may), "view"));
await load();
