// Numbers, times and states as people read them.
export const DASH = "–";
export const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
export const number = (value, digits = 0) => (known(value)
  ? value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }) : DASH);
export const short = (value) => (known(value) ? String(Number(value.toPrecision(4))) : DASH);
// As many digits as two of the uncertainty allow.
export function measured(value, sigma) {
  if (!known(value) || !(sigma > 0)) return short(value);
  const digits = Math.min(12, Math.max(0, 1 - Math.floor(Math.log10(sigma))));
  const [shown, spread] = [value, sigma].map((one) => String(Number(one.toFixed(digits))));
  return `${shown} ± ${spread}`;
}
export const percent = (value, digits = 0) => (known(value) ? `${number(value * 100, digits)} %` : DASH);

export function scaled(value, unit, digits = 2) {
  if (!known(value)) return [DASH, ""];
  for (const [size, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return [number(value / size, digits), prefix + unit];
  }
  return [number(value, Number.isInteger(value) ? 0 : digits), unit];
}
export const bits = (value, digits) => scaled(value, "bit", digits).join(" ").trim();
export const rate = (value, digits) => scaled(value, "bit/s", digits).join(" ").trim();

export function duration(seconds) {
  if (!known(seconds)) return DASH;
  for (const [size, unit, below, lower] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / below);
      return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${lower}` : ""}`;
    }
  }
  return seconds >= 1 || seconds === 0 ? `${number(seconds)} s` : `${number(seconds * 1e3)} ms`;
}

const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" });
export function clock(time_s) {
  const at = new Date(time_s * 1e3);
  const time = at.toLocaleTimeString("en-GB");
  return Date.now() - at < 72e6 ? time : `${day.format(at)} ${time}`;
}
export const utc = (time_s) => new Date(time_s * 1e3).toISOString();
export const plain = (word) => word.replaceAll("_", " ");

export const PHASE_TONE = { generating: "ok", fault: "error", stopped: "off", idle: "off" };
export const tone = (phase) => PHASE_TONE[phase] ?? "warn";
export const isResting = (link) => ["stopped", "idle", "fault"].includes(link.phase);
export const LEVEL_ICON = { ok: "circle-check", info: "info", warning: "triangle-alert", alarm: "circle-x" };
export const isTrouble = (event) => ["warning", "alarm"].includes(event.level);
export const isOpen = (event) => isTrouble(event) && !event.is_acknowledged && !event.is_muted && !event.cleared_s;
// Like the node, a page never forgets a trouble that is still to be told over.
export const isStanding = (event) => isTrouble(event) && event.about && !event.cleared_s;
export const stateOf = (event) => [
  event.is_muted ? "under maintenance" : "", event.cleared_s ? `over since ${clock(event.cleared_s)}` : "",
  event.acknowledged_by ? `seen by ${event.acknowledged_by}` : event.is_acknowledged ? "seen" : "",
].filter(Boolean).join(" · ");

export function median(values) {
  const sorted = values.filter(known).sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor((sorted.length - 1) / 2)] : null;
}
export function percentile(sorted, part) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] : null;
}
