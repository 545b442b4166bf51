// Numbers for people.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => grouped.format(n);
export const short = (n) => (n < 10_000 ? grouped.format(n) : compact.format(n));
export const percent = (part) => (part > 0 && part < 0.01 ? "<1 %" : `${Math.round(100 * part)} %`);

// rate shows what happens seldom, too.
export const rate = (n) => (n > 0 && n < 10 ? n.toFixed(n < 0.95 ? 2 : 1) : short(n));

// clock shows the time of day.
export const clock = (date, seconds = true) => date.toLocaleTimeString([],
  { hour: "2-digit", minute: "2-digit", second: seconds ? "2-digit" : undefined, hourCycle: "h23" });

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n) {
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit++) n /= 1024;
  return `${n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

// ms shows a duration given in ms.
export function ms(n) {
  if (n < 1) return `${Math.round(1000 * n)} µs`;
  if (n < 1000) return `${n < 10 ? n.toFixed(1) : Math.round(n)} ms`;
  return `${(n / 1000).toFixed(n < 10_000 ? 1 : 0)} s`;
}

// span shows a duration given in seconds, in its two largest units.
export function span(s) {
  s = Math.max(0, Math.round(s));
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => s >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2)
    .map(([size, name], i) => [Math.floor((i ? s % parts[first][0] : s) / size), name])
    .filter(([n], i) => i === 0 || n > 0)
    .map(([n, name]) => `${n} ${name}`).join(" ");
}
