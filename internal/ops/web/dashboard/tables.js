// The tables: the busiest channels, with a filter, the slow readers, and TLS.
import { follow } from "./api.js";
import * as format from "./format.js";

const $ = (id) => document.getElementById(id);

function cell(content, kind = "") {
  const td = document.createElement("td");
  td.className = kind;
  td.append(content);
  return td;
}

// channels shows the busiest channels; choose is called with the name of one that
// the user wants to follow.
export function channels(choose) {
  let asked = null;
  const ask = () => {
    asked?.abort();
    asked = new AbortController();
    const by = document.querySelector("#channels input[name=by]:checked").value;
    const query = new URLSearchParams({ filter: $("filter").value, by });
    follow(`/busiest?${query}`, { signal: asked.signal, on: (_, data) => rank(JSON.parse(data), choose) });
  };
  let timer;
  $("filter").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 250);
  });
  $("channels-form").addEventListener("change", (e) => e.target.name === "by" && ask());
  $("channels-form").addEventListener("submit", (e) => e.preventDefault());
  ask();
}

// rank shows a ranking. Rows are kept by name, so that the focus stays where it is.
function rank({ channels, matching, all }, choose) {
  const body = $("channel-rows");
  const old = new Map([...body.rows].map((row) => [row.dataset.name, row]));
  const rows = channels.map((c) => {
    const row = old.get(c.name) ?? channelRow(c.name, choose);
    const [, subscribers, rate, kept] = row.cells;
    subscribers.textContent = format.count(c.subscribers);
    rate.textContent = format.rate(c.rate);
    kept.textContent = c.history ? `${format.count(c.history)} · ${format.bytes(c.bytes)}` : "–";
    return row;
  });
  rows.forEach((row, i) => body.rows[i] !== row && body.insertBefore(row, body.rows[i] ?? null));
  while (body.rows.length > rows.length) body.lastElementChild.remove();
  $("channels-empty").hidden = rows.length > 0;
  $("channels-empty").textContent = all ? "No channel has that in its name." : "No channel is open.";
  const some = rows.length < matching ? `${format.count(rows.length)} of ` : "";
  $("channels-note").textContent = matching ? `${some}${format.count(matching)} channel${matching === 1 ? "" : "s"}` +
    (matching < all ? ` that match, of ${format.count(all)}` : "") : "";
}

function channelRow(name, choose) {
  const row = document.createElement("tr");
  row.dataset.name = name;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = name;
  button.title = `Follow ${name}`;
  button.addEventListener("click", () => choose(name));
  row.append(cell(button, "name"), cell("", "n"), cell("", "n"), cell("", "n kept"));
  return row;
}

// slow shows the slow readers.
export function slow(readers) {
  $("slow-rows").replaceChildren(...readers.map((r) => {
    const row = document.createElement("tr");
    const behind = `${format.count(r.behind)}${r.lapped ? "+" : ""}`;
    row.append(cell(r.address, "mono"), cell(r.channels.join(" "), "name"), cell(behind, "n"), cell(format.span(r.seconds), "n"));
    return row;
  }));
  $("slow-empty").hidden = readers.length > 0;
}

const protocolNames = { plain: "in the clear", tls: "TLS", h2: "HTTP/2 over TLS" };
const soon = 21 * 86400; // seconds: certificates for 90 days are renewed at 30 days

let handshakes = null; // at the state before

// tls shows how TLS is, for a node that has it.
export function tls(now) {
  $("tls").hidden = !now;
  if (!now) return;
  const open = now.protocols.map((p) => `${format.count(p.open)} ${protocolNames[p.name] ?? p.name}`).join(" · ");
  const at = Date.now() / 1000;
  const rate = handshakes && at > handshakes.at ? Math.max(0, now.done - handshakes.done) / (at - handshakes.at) : 0;
  handshakes = { at, done: now.done };
  $("tls-note").textContent = `Connections: ${open} · handshakes: ${format.rate(rate)} a second, ${format.count(now.underWay)} under way, ${format.count(now.done)} so far`;
  const failed = Object.entries(now.failed).sort(([, a], [, b]) => b - a);
  $("tls-failed").textContent = failed.length ? `Failed: ${failed.map(([reason, n]) => `${reason} ${format.count(n)}`).join(" · ")}` : "";
  $("tls-rows").replaceChildren(...(now.certificates ?? []).map((c) => {
    const row = document.createElement("tr");
    row.title = c.file;
    const left = Date.parse(c.expiry) / 1000 - at;
    row.append(cell((c.names ?? []).join(" "), "name"), cell(left > 0 ? format.span(left) : "expired", left < soon ? "n soon" : "n"));
    return row;
  }));
  $("tls-empty").hidden = !(now.missing > 0);
  $("tls-empty").textContent = `${format.count(now.missing)} domain${now.missing === 1 ? " has" : "s have"} no certificate yet: the log says why.`;
}

// gzip shows what the content coding saves, once a stream has had it.
export function gzip(now) {
  $("gzip").hidden = !now;
  if (!now) return;
  const messages = now.compressed + now.stored;
  const saved = messages ? ` · ${format.bytes(now.written)} written in place of ${format.bytes(now.text)}, ${format.percent(now.written / now.text)} · ${format.percent(now.compressed / messages)} of messages compressed` : "";
  $("gzip-note").textContent = `Streams with gzip: ${format.count(now.streams)}${saved}`;
}
