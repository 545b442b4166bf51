// The form that publishes, and the pane that follows a channel.
import { follow, request } from "./api.js";
import * as format from "./format.js";

const $ = (id) => document.getElementById(id);
const shownAtMost = 200;

export function publishing() {
  const form = $("publish-form"), result = $("publish-result");
  const tell = (text, failed = false) => {
    result.textContent = text;
    result.classList.toggle("error", failed);
  };
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const query = new URLSearchParams({ channel: $("publish-channel").value });
    if ($("publish-event").value) query.set("event", $("publish-event").value);
    try {
      const response = await request(`/publish?${query}`, { method: "POST", body: $("publish-data").value });
      const answer = await response.json();
      if (!response.ok) throw new Error(answer.error);
      const receivers = answer.receivers === 1 ? "1 receiver" : `${format.count(answer.receivers)} receivers`;
      tell(answer.id ? `${receivers} · ${answer.id}` : receivers);
    } catch (err) {
      tell(err.message, true);
    }
  });
  $("publish-data").addEventListener("keydown", (e) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) form.requestSubmit();
  });
}

// following returns a function that follows the channel of a name.
export function following() {
  let asked = null;
  const stop = () => {
    asked?.abort();
    asked = null;
    $("follow-button").textContent = "Follow";
    $("follow").classList.remove("live");
  };
  const start = (channel) => {
    stop();
    asked = new AbortController();
    $("follow-channel").value = channel;
    $("follow-button").textContent = "Stop";
    $("pane").replaceChildren();
    follow(`/follow?${new URLSearchParams({ channel })}`, {
      signal: asked.signal,
      on: (type, data, id) => put(type, data, id),
      onState: (state) => {
        $("follow").classList.toggle("live", state === "live");
        $("follow-note").textContent = state === "live" ? `Following ${channel}.` : state === "lost" ? "Connection lost, trying again." : state;
      },
    });
  };
  $("follow-form").addEventListener("submit", (e) => {
    e.preventDefault();
    if (asked) {
      stop();
      $("follow-note").textContent = "Stopped.";
    } else {
      start($("follow-channel").value);
    }
  });
  $("follow-channel").addEventListener("input", stop);
  return start;
}

let fresh = []; // events that wait for the next frame, the newest first

function put(type, data, id) {
  if (type === "millrace.following") return;
  if (fresh.length === 0) setTimeout(flush, 50); // a frame would never come in a hidden tab
  fresh.unshift(type === "millrace.skipped" ? skipped(data) : entry(type, data, id));
  fresh.length = Math.min(fresh.length, shownAtMost);
}

function flush() {
  const pane = $("pane");
  pane.prepend(...fresh);
  fresh = [];
  while (pane.childElementCount > shownAtMost) pane.lastElementChild.remove();
}

function entry(type, data, id) {
  const item = document.createElement("li");
  const head = document.createElement("p");
  const time = document.createElement("time");
  time.textContent = format.clock(new Date());
  head.append(time);
  if (type !== "message") head.append(span("type", type));
  if (id) head.append(span("id", id));
  const body = document.createElement("pre");
  body.textContent = data;
  item.append(head, body);
  return item;
}

function skipped(n) {
  const item = document.createElement("li");
  item.className = "skipped";
  item.textContent = `${format.count(Number(n))} events came too fast to be shown`;
  return item;
}

function span(kind, text) {
  const s = document.createElement("span");
  s.className = kind;
  s.textContent = text;
  return s;
}
