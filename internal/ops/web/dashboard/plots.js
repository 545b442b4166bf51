// The plots of the last 15 minutes, by uPlot.
import * as format from "./format.js";

const longest = 15 * 60, shortest = 2 * 60; // seconds that are shown

// What the marks of an axis may be apart.
const powersOfTwo = Array.from({ length: 48 }, (_, i) => 2 ** i);
const whole = Array.from({ length: 10 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();

// fields are the columns of samples that are plotted.
const fields = ["streams", "behind", "published", "deliveries", "p50", "p99", "resident", "history", "tcp"];

const specs = [
  { id: "plot-streams", show: format.short, steps: whole, series: [["streams", "streams", "a"], ["behind", "behind", "b"]] },
  { id: "plot-published", show: format.rate, series: [["published", "published", "b"]] },
  { id: "plot-delivered", show: format.rate, series: [["deliveries", "delivered", "a"]] },
  { id: "plot-fanout", show: format.ms, series: [["p99", "p99", "a"], ["p50", "p50", "b"]] },
  { id: "plot-memory", show: format.bytes, steps: powersOfTwo, series: [["resident", "process", "a"], ["tcp", "sockets, in the kernel", "b"], ["history", "history", "c"]] },
];

// colour resolves a custom property, which a canvas does not.
function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const fade = (rgb, alpha) => rgb.replace(/^rgba?\(([^,]+,[^,]+,[^,)]+).*$/, `rgba($1, ${alpha})`);

export class Plots {
  constructor() {
    this.clear();
    this.plots = [];
    this.draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("visibilitychange", () => this.update());
    const observer = new ResizeObserver(() => this.resize());
    for (const { id } of specs) observer.observe(document.getElementById(id));
  }

  clear() {
    this.times = [];
    this.columns = Object.fromEntries(fields.map((f) => [f, []]));
  }

  // add takes a sample in; update shows it.
  add(sample) {
    this.times.push(sample.time / 1000);
    for (const f of fields) this.columns[f].push((f === "p50" || f === "p99") && sample[f] === 0 ? null : sample[f]);
    while (this.times[0] < this.times.at(-1) - longest) {
      this.times.shift();
      for (const f of fields) this.columns[f].shift();
    }
  }

  // draw makes the plots anew, in the present colours.
  draw() {
    for (const p of this.plots) p.destroy();
    const ink = colour("muted"), grid = colour("line");
    this.plots = specs.map((spec) => {
      const root = document.getElementById(spec.id);
      const plot = new uPlot(options(spec, root, ink, grid), this.data(spec), root);
      steer(plot, root);
      return plot;
    });
    this.update();
  }

  data(spec) {
    return [this.times, ...spec.series.map(([field]) => this.columns[field])];
  }

  update() {
    if (document.hidden) return;
    specs.forEach((spec, i) => this.plots[i].setData(this.data(spec)));
  }

  resize() {
    specs.forEach((spec, i) => this.plots[i]?.setSize(size(document.getElementById(spec.id))));
  }
}

const size = (root) => ({ width: Math.max(root.clientWidth, 200), height: 180 });

const font = "11px system-ui, sans-serif";
const clock = (s, seconds) => format.clock(new Date(1000 * s), seconds);

// idle tells that there is nothing but zeros in a plot.
const idle = (u) => u.data.slice(1).every((column) => column.every((v) => !v));

// timeRange is as long as there are samples, within bounds.
function timeRange(_, min, max) {
  max ??= Date.now() / 1000;
  return [max - Math.max(shortest, Math.min(longest, max - (min ?? max))), max];
}

function options(spec, root, ink, grid) {
  const { show } = spec;
  // Where nothing happens an axis has its zero and nothing else: there is no scale.
  const filter = (u, splits) => (idle(u) ? splits.map((v) => (v === 0 ? 0 : null)) : splits);
  const range = (_, __, max) => [0, max > 0 ? 1.1 * max : 1];
  return {
    ...size(root),
    padding: [8, 12, 0, 0],
    cursor: { sync: { key: "millrace" }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { markers: { width: 0, fill: (u, i) => u.series[i].stroke() } },
    scales: {
      x: { range: timeRange },
      y: { range },
    },
    axes: [
      { stroke: ink, font, grid: { show: false }, ticks: { show: false }, space: 70, size: 26,
        values: (_, splits, __, ___, step) => splits.map((s) => clock(s, step < 60)) },
      { stroke: ink, font, size: 62, gap: 4, incrs: spec.steps, filter, grid: { stroke: grid, width: 1, filter }, ticks: { show: false },
        values: (_, splits) => splits.map((v) => (v === null ? "" : show(v))) },
    ],
    series: [
      { label: "at", value: (_, v) => (v === null ? "" : clock(v)) },
      ...spec.series.map(([, label, name], i) => {
        const stroke = colour(name);
        return {
          label, stroke, width: 1.75, spanGaps: false, points: { show: false },
          fill: i === 0 ? fade(stroke, 0.12) : undefined,
          value: (u, v) => {
            v ??= u.data[i + 1].at(-1);
            return v === null || v === undefined ? "–" : show(v);
          },
        };
      }),
    ],
  };
}

// steer moves the cursor of all plots by the arrow keys of a focused one.
function steer(plot, root) {
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `Plot of ${plot.series.slice(1).map((s) => s.label).join(", ")}; the arrow keys read it`);
  root.onkeydown = (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[e.key];
    const last = plot.data[0].length - 1;
    if (!step || last < 0) return;
    e.preventDefault();
    const at = Math.min(last, Math.max(0, (plot.cursor.idx ?? last) + step));
    plot.setCursor({ left: plot.valToPos(plot.data[0][at], "x"), top: plot.bbox.height / (2 * devicePixelRatio) });
  };
  root.onblur = () => plot.setCursor({ left: -10, top: -10 });
}
