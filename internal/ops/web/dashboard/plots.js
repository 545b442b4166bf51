// The plots of the last 15 minutes, by uPlot.
import * as format from "./format.js";

const longest = 15 * 60, shortest = 2 * 60; // seconds that are shown

// fields are the columns of samples that are plotted.
const fields = ["streams", "behind", "published", "deliveries", "p50", "p99", "resident", "history", "tcp"];

const specs = [
  { id: "plot-streams", axes: [format.short], series: [["streams", "streams", "a"], ["behind", "behind", "b"]] },
  { id: "plot-events", axes: [format.short, format.short], series: [["deliveries", "delivered", "a"], ["published", "published", "b", "right"]], format: format.rate },
  { id: "plot-fanout", axes: [format.ms], series: [["p99", "p99", "a"], ["p50", "p50", "b"]] },
  { id: "plot-memory", axes: [format.bytes], binary: true, series: [["resident", "process", "a"], ["tcp", "sockets, in the kernel", "b"], ["history", "history", "c"]] },
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
const powersOfTwo = Array.from({ length: 48 }, (_, i) => 2 ** i);
const clock = (s, seconds) => format.clock(new Date(1000 * s), seconds);

// timeRange is as long as there are samples, within bounds.
function timeRange(_, min, max) {
  max ??= Date.now() / 1000;
  return [max - Math.max(shortest, Math.min(longest, max - (min ?? max))), max];
}

function options(spec, root, ink, grid) {
  // Of two axes, each has the colour of what it is for.
  const axis = (values, scale, side) => ({
    scale, side, size: side === 1 ? 48 : 62, gap: 4, font,
    stroke: spec.axes.length > 1 ? colour(spec.series.find(([, , , s]) => (s ?? "y") === scale)[2]) : ink,
    incrs: spec.binary ? powersOfTwo : undefined,
    grid: side === 1 ? { show: false } : { stroke: grid, width: 1 },
    ticks: { show: false },
    values: (_, splits) => splits.map((v) => (v === null ? "" : values(v))),
  });
  const show = spec.format ?? spec.axes[0];
  const range = (_, __, max) => [0, max > 0 ? 1.1 * max : 1];
  return {
    ...size(root),
    padding: [8, spec.axes.length > 1 ? 0 : 12, 0, 0],
    cursor: { sync: { key: "millrace" }, points: { size: 7 }, drag: { x: false, y: false } },
    legend: { markers: { width: 0, fill: (u, i) => u.series[i].stroke() } },
    scales: {
      x: { range: timeRange },
      y: { range }, right: { range },
    },
    axes: [
      { stroke: ink, font, grid: { show: false }, ticks: { show: false }, space: 70, size: 26,
        values: (_, splits, __, ___, step) => splits.map((s) => clock(s, step < 60)) },
      axis(spec.axes[0], "y", 3),
      ...spec.axes.slice(1).map((values) => axis(values, "right", 1)),
    ],
    series: [
      { label: "at", value: (_, v) => (v === null ? "" : clock(v)) },
      ...spec.series.map(([field, label, name, scale], i) => {
        const stroke = colour(name);
        return {
          label, stroke, scale: scale ?? "y", width: 1.75, spanGaps: false, points: { show: false },
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
