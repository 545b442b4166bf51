// The figures of now: tiles, and bars that show how near the limits are.
import * as format from "./format.js";

const set = (id, text) => {
  const element = document.getElementById(id);
  if (element.textContent !== text) element.textContent = text;
};

const limits = [
  { name: "Streams", used: (s) => s.streams, most: (s) => s.limits.streams, show: format.count },
  { name: "Busiest event loop", used: (s) => s.busy, most: () => 1, show: null },
  { name: "Memory of the host", used: (s) => s.resident, most: (s) => s.limits.resident, show: format.bytes },
  { name: "Kernel memory of sockets", used: (s) => s.tcp, most: (s) => s.limits.tcp, show: format.bytes },
  { name: "History", used: (s) => s.history, most: (s) => s.limits.history, show: format.bytes },
];

// makeBars puts the bars in, empty.
export function makeBars() {
  const list = document.getElementById("bars");
  for (const limit of limits) {
    const row = document.createElement("div");
    const name = document.createElement("dt");
    name.textContent = limit.name;
    const value = document.createElement("dd");
    const meter = document.createElement("div");
    meter.className = "meter";
    meter.setAttribute("role", "meter");
    meter.setAttribute("aria-label", limit.name);
    meter.setAttribute("aria-valuemin", "0");
    meter.setAttribute("aria-valuemax", "100");
    const fill = document.createElement("span");
    meter.append(fill);
    const text = document.createElement("span");
    text.className = "amount";
    value.append(meter, text);
    row.append(name, value);
    list.append(row);
    Object.assign(limit, { row, meter, fill, text });
  }
}

// show shows a sample.
export function show(s) {
  set("streams", format.count(s.streams));
  set("streams-note", `of ${format.count(s.limits.streams)} · +${format.rate(s.opened)} −${format.rate(s.closed)} a second`);
  set("published", format.rate(s.published));
  set("deliveries", format.rate(s.deliveries));
  set("deliveries-note", s.writes > 0 ? `a second · ${(s.deliveries / s.writes).toFixed(1)} a write` : "a second");
  set("p99", s.p99 > 0 ? format.ms(s.p99) : "–");
  set("p99-note", s.p99 > 0 ? `median ${format.ms(s.p50)}` : "first write to last");
  set("resident", s.resident > 0 ? format.bytes(s.resident) : format.bytes(s.heap));
  set("resident-note", `heap ${format.bytes(s.heap)} · ${format.short(s.channels)} channels`);
  set("behind", format.count(s.behind));
  document.getElementById("behind").parentElement.classList.toggle("warn", s.behind > 0);
  document.title = `${format.short(s.streams)} streams · millrace`;
  for (const limit of limits) {
    const most = limit.most(s);
    limit.row.hidden = !(most > 0);
    if (limit.row.hidden) continue;
    const part = Math.min(1, limit.used(s) / most);
    limit.fill.style.width = `${100 * part}%`;
    limit.meter.dataset.level = part >= 0.9 ? "high" : part >= 0.75 ? "near" : "fine";
    limit.meter.setAttribute("aria-valuenow", String(Math.round(100 * part)));
    const amount = limit.show ? `${limit.show(limit.used(s))} of ${limit.show(most)}` : "";
    limit.text.replaceChildren(strong(format.percent(part)), amount ? ` ${amount}` : "");
  }
}

function strong(text) {
  const b = document.createElement("b");
  b.textContent = text;
  return b;
}
