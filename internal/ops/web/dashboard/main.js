// The dashboard: what the server's event stream says, shown.
import { follow } from "./api.js";
import { following, publishing } from "./events.js";
import * as figures from "./figures.js";
import * as format from "./format.js";
import { Plots } from "./plots.js";
import * as tables from "./tables.js";

const $ = (id) => document.getElementById(id);

figures.makeBars();
const plots = new Plots();

let about = null;

function showAbout() {
  if (!about) return;
  const up = (Date.now() - Date.parse(about.started)) / 1000;
  $("about").textContent = `${about.public} · ${about.loops} loop${about.loops === 1 ? "" : "s"} · up ${format.span(up)} · ${about.version}`;
}

let state = null; // why there should be no new clients, and the engine's

// showState shows what is not as it should be, and the engine where there is one.
function showState() {
  if (!state) return;
  const { refuses, engine } = state;
  $("ready").hidden = !refuses;
  $("ready").textContent = refuses ? `no new clients: ${refuses}` : "";
  $("engine").hidden = !engine;
  if (!engine) return;
  $("engine").dataset.state = engine.up ? "live" : "lost";
  $("engine").textContent = `${engine.name} ${engine.up ? "up" : "down"} ${format.span((Date.now() - Date.parse(engine.since)) / 1000)}`;
}

follow("/events", {
  onState: (state) => {
    $("state").textContent = state === "lost" ? "connection lost, trying again" : state;
    $("state").dataset.state = state === "live" ? "live" : "lost";
  },
  on: (type, data) => {
    const value = JSON.parse(data);
    if (type === "about") {
      about = value;
      plots.clear();
      about.samples.forEach((s) => plots.add(s));
      if (about.samples.length) figures.show(about.samples.at(-1));
      plots.update();
    } else if (type === "sample") {
      plots.add(value);
      plots.update();
      figures.show(value);
    } else if (type === "state") {
      state = value;
      tables.tls(value.tls);
      tables.gzip(value.gzip);
    } else if (type === "slow") {
      tables.slow(value);
    }
    showAbout();
    showState();
  },
});

const start = following();
tables.channels((name) => {
  $("publish-channel").value = name;
  start(name);
  $("follow").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
});
publishing();

document.addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || e.target.closest("input, textarea")) return;
  e.preventDefault();
  $("filter").focus();
});

// Colours: as the system has them, unless the user wants others.
const themes = ["auto", "dark", "light"];

function dress(theme) {
  document.documentElement.style.colorScheme = theme === "auto" ? "" : theme;
  $("theme").textContent = theme;
  $("theme").setAttribute("aria-label", `Colours: ${theme === "auto" ? "as the system has them" : theme}`);
  plots.draw();
}

$("theme").addEventListener("click", () => {
  const theme = themes[(themes.indexOf($("theme").textContent) + 1) % themes.length];
  localStorage.setItem("millrace-theme", theme);
  dress(theme);
});
const chosen = localStorage.getItem("millrace-theme");
if (themes.includes(chosen) && chosen !== "auto") dress(chosen);
