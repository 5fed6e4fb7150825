// No page: only what stands around every page.
import { begin } from "../shell.js";

await begin();
