// All links.
import { $, rows } from "../dom.js";
import { begin, state } from "../shell.js";
import { linkFacts, linkRow } from "../parts.js";

state.onChange(() => {
  if (!state.snapshot || state.status !== "live") return;
  rows($("link-rows"), state.all("link").map(linkFacts), (link) => link.name, linkRow(true), "This network has no link.");
});
await begin();
