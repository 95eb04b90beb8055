"use strict";
/* The map of the codes and the list of outliers of each run of a report. */
const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000"];
const RAMP = [[0, 32, 76], [60, 77, 110], [124, 123, 120], [187, 175, 113], [255, 233, 69]];
const SHAPES = 8, MOST_SHOWN = 48, MARGIN = 34;

function shape(draw, kind, x, y, r) {
  draw.beginPath();
  const polygon = (n, turn, inner) => {
    const m = inner ? 2 * n : n;
    for (let i = 0; i < m; i++) {
      const a = turn + 2 * Math.PI * i / m, s = inner && i % 2 ? r * inner : r;
      draw.lineTo(x + s * Math.cos(a), y + s * Math.sin(a));
    }
    draw.closePath();
  };
  switch (kind % SHAPES) {
    case 0: draw.arc(x, y, r * 0.85, 0, 2 * Math.PI); break;
    case 1: draw.rect(x - r * 0.8, y - r * 0.8, 1.6 * r, 1.6 * r); break;
    case 2: polygon(3, -Math.PI / 2); break;
    case 3: polygon(4, 0); break;
    case 4: polygon(3, Math.PI / 2); break;
    case 5: polygon(5, -Math.PI / 2, 0.45); break;
    case 6: polygon(4, Math.PI / 4, 0.35); break;
    default: polygon(6, 0);
  }
  draw.fill();
  draw.stroke();
}

const colourOf = i => COLOURS[i % 8];
const shapeOf = i => (i + Math.floor(i / 8)) % SHAPES;
function ramp(t) {
  const at = Math.max(0, Math.min(1, t)) * (RAMP.length - 1), i = Math.min(RAMP.length - 2, Math.floor(at));
  const mixed = RAMP[i].map((v, c) => Math.round(v + (at - i) * (RAMP[i + 1][c] - v)));
  return `rgb(${mixed.join(",")})`;
}
function element(name, text, parent) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}
const quantile = (sorted, q) => sorted[Math.round(q * (sorted.length - 1))];

class Run {
  constructor(part) {
    const find = (section, what) => part.querySelector(`${section} ${what}`);
    this.data = JSON.parse(find("[id$=-map]", "script").textContent);
    this.canvas = find("[id$=-map]", "canvas.map");
    this.under = find("[id$=-map]", ".under");
    this.legend = find("[id$=-map]", ".legend");
    this.list = find("[id$=-map]", ".selection");
    this.colour = find("[id$=-map]", "select.colour");
    this.plane = find("[id$=-map]", "select.plane");
    this.sheet = find("[id$=-map]", ".sprite");
    this.chosen = new Set();
    this.at = -1;
    this.drag = null;
    this.colour?.addEventListener("change", () => { this.drawLegend(); this.draw(); });
    this.plane.addEventListener("change", () => this.draw());
    find("[id$=-map]", ".clear").addEventListener("click", () => this.select([]));
    this.listen();
    this.drawLegend();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.outliers(part.querySelector("[id$=-outliers]"));
  }

  get mode() { return this.colour ? this.colour.value : ""; }
  get points() { return this.data.planes[this.plane.selectedIndex]; }

  values() {  /* the group of each row, by which it is coloured; the groups in order */
    const own = this.data[this.mode] || [];
    return [own, [...new Set(own)].sort((a, b) => a - b)];
  }

  scale() {
    const known = this.data.score.filter(v => v !== null).sort((a, b) => a - b);
    return [quantile(known, 0.02), quantile(known, 0.98)];
  }

  place() {  /* from codes to pixels */
    const { x, y } = this.points, w = this.canvas.clientWidth, h = this.canvas.clientHeight;
    const low = [Math.min(...x), Math.min(...y)], high = [Math.max(...x), Math.max(...y)];
    const fit = (v, i, size) => MARGIN + (v - low[i]) / (high[i] - low[i] || 1) * (size - 2 * MARGIN);
    return x.map((v, i) => [fit(v, 0, w), h - fit(y[i], 1, h)]);
  }

  draw() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    const w = canvas.clientWidth, h = canvas.clientHeight;
    if (!w) return;
    canvas.width = w * ratio;
    canvas.height = h * ratio;
    const draw = canvas.getContext("2d");
    draw.scale(ratio, ratio);
    this.placed = this.place();
    const [groups, names] = this.values(), byScore = this.mode === "score";
    const [low, high] = byScore ? this.scale() : [0, 1];
    const number = new Map(names.map((v, i) => [v, i]));
    draw.lineWidth = 0.6;
    this.placed.forEach(([x, y], i) => {
      const faint = this.chosen.size && !this.chosen.has(i);
      const k = byScore ? 0 : number.get(groups[i]) ?? 0;
      draw.globalAlpha = faint ? 0.15 : 0.9;
      draw.fillStyle = byScore
        ? groups[i] === null ? "#fff" : ramp((groups[i] - low) / (high - low || 1))
        : groups.length ? colourOf(k) : "#777";
      draw.strokeStyle = "#222";
      shape(draw, byScore ? 0 : shapeOf(k), x, y, 5);
    });
    draw.globalAlpha = 1;
    draw.fillStyle = "#111";
    draw.font = "12px system-ui, sans-serif";
    draw.textAlign = "center";
    draw.fillText(this.points.axes[0], w / 2, h - 8);
    draw.save();
    draw.translate(14, h / 2);
    draw.rotate(-Math.PI / 2);
    draw.fillText(this.points.axes[1], 0, 0);
    draw.restore();
    if (this.at >= 0) {
      draw.lineWidth = 2.5;
      draw.strokeStyle = "#000";
      draw.beginPath();
      draw.arc(...this.placed[this.at], 10, 0, 2 * Math.PI);
      draw.stroke();
    }
    if (this.drag) {
      const [[a, b], [c, d]] = this.drag;
      draw.setLineDash([5, 3]);
      draw.lineWidth = 1.5;
      draw.strokeRect(a, b, c - a, d - b);
    }
  }

  drawLegend() {
    this.legend.replaceChildren();
    if (this.mode === "score") {
      const [low, high] = this.scale();
      element("span", `${this.data.score_name}: ${low.toFixed(1)}`, this.legend);
      const bar = element("canvas", undefined, this.legend);
      bar.width = 160;
      bar.height = 14;
      bar.setAttribute("role", "img");
      bar.setAttribute("aria-label", "colours from low, dark, to high, bright");
      const draw = bar.getContext("2d");
      for (let i = 0; i < 160; i++) { draw.fillStyle = ramp(i / 159); draw.fillRect(i, 0, 1, 14); }
      element("span", `${high.toFixed(1)} nats`, this.legend);
      return;
    }
    const [groups, names] = this.values();
    const what = this.mode === "component" ? this.data.what : this.mode;
    names.forEach((value, k) => {
      const button = element("button", undefined, this.legend), mark = element("canvas", undefined, button);
      button.type = "button";
      mark.width = mark.height = 16;
      const draw = mark.getContext("2d");
      draw.fillStyle = colourOf(k);
      draw.strokeStyle = "#222";
      shape(draw, shapeOf(k), 8, 8, 6);
      button.append(` ${what} ${value}`);
      button.addEventListener("click", () =>
        this.select(groups.flatMap((v, i) => v === value ? [i] : [])));
    });
  }

  listen() {
    const { canvas } = this, where = e => {
      const box = canvas.getBoundingClientRect();
      return [e.clientX - box.left, e.clientY - box.top];
    };
    canvas.addEventListener("pointerdown", e => {
      canvas.setPointerCapture(e.pointerId);
      this.drag = [where(e), where(e)];
    });
    canvas.addEventListener("pointermove", e => {
      if (this.drag) this.drag[1] = where(e);
      else this.point(this.nearest(where(e), 14));
      this.draw();
    });
    canvas.addEventListener("pointerup", e => {
      if (!this.drag) return;
      const [[a, b], [c, d]] = this.drag;
      this.drag = null;
      if (Math.hypot(c - a, d - b) < 5) {
        const i = this.nearest(where(e), 20);
        this.point(i);
        this.toggle(i);
        return;
      }
      const inside = (v, p, q) => v >= Math.min(p, q) && v <= Math.max(p, q);
      this.select(this.placed.flatMap(([x, y], i) => inside(x, a, c) && inside(y, b, d) ? [i] : []));
    });
    canvas.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    canvas.addEventListener("keydown", e => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
      if (way) this.step(way);
      else if (e.key === "Enter" || e.key === " ") this.toggle(this.at);
      else if (e.key === "Escape") this.select([]);
      else return;
      e.preventDefault();
    });
  }

  nearest([x, y], reach) {
    let best = -1, least = reach;
    this.placed.forEach(([a, b], i) => {
      const far = Math.hypot(a - x, b - y);
      if (far < least) { least = far; best = i; }
    });
    return best;
  }

  step([dx, dy]) {  /* to the nearest point that lies more in this direction than beside it */
    if (this.at < 0) this.point(0);
    else {
      const [x, y] = this.placed[this.at];
      let best = -1, least = Infinity;
      this.placed.forEach(([a, b], i) => {
        const along = (a - x) * dx + (b - y) * dy, beside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
        if (along > 0.5 && along >= beside && along + 2 * beside < least) { least = along + 2 * beside; best = i; }
      });
      if (best >= 0) this.point(best);
    }
    this.draw();
  }

  point(i) {
    if (i < 0 || i === this.at) return;
    this.at = i;
    this.under.replaceChildren();
    const { data } = this;
    if (data.tile) this.under.append(this.thumb(i, 112));
    element("strong", data.rows[i], this.under);
    this.facts(i).forEach(line => element("div", line, this.under));
    if (data.cells) this.under.append(this.columnsTable(i));
  }

  facts(i) {
    const { data } = this, lines = [];
    if (data.component) lines.push(`${data.what} ${data.component[i]} (${data.certainty[i].toFixed(2)})`);
    if (data.label) lines.push(`label ${data.label[i]}`);
    if (data.score) lines.push(`${data.score_name} ${data.score[i]} nats`);
    return lines;
  }

  thumb(i, size) {
    const { width, height, columns } = this.data.tile, scale = size / Math.max(width, height);
    const made = document.createElement("canvas");
    made.className = "thumb";
    made.width = width * scale;
    made.height = height * scale;
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", [this.data.rows[i], ...this.facts(i)].join(", "));
    const paint = () => {
      const draw = made.getContext("2d");
      draw.imageSmoothingEnabled = false;
      draw.drawImage(this.sheet, i % columns * width, Math.floor(i / columns) * height, width, height,
        0, 0, made.width, made.height);
    };
    this.sheet.decode().then(paint, () => {});
    return made;
  }

  columnsTable(i) {
    const made = document.createElement("table");
    this.data.columns.forEach((name, j) => {
      const line = element("tr", undefined, made);
      element("th", name, line).scope = "row";
      element("td", this.data.cells[i][j], line);
    });
    return made;
  }

  rowsTable(rows) {
    const { data } = this, made = document.createElement("table"), more = data.score ? ["nats"] : [];
    made.className = "examples";
    const head = element("tr", undefined, made);
    ["example", ...more, ...data.columns].forEach(name => { element("th", name, head).scope = "col"; });
    rows.forEach(i => {
      const line = element("tr", undefined, made);
      element("th", data.rows[i], line).scope = "row";
      if (data.score) element("td", data.score[i], line);
      data.cells[i].forEach(value => element("td", value, line));
    });
    return made;
  }

  toggle(i) {
    if (i < 0) return;
    const now = new Set(this.chosen);
    if (!now.delete(i)) now.add(i);
    this.select([...now]);
  }

  select(rows) {
    this.chosen = new Set(rows);
    this.list.replaceChildren();
    if (rows.length) {
      element("p", `${rows.length} selected. ${this.summary(rows)}`, this.list);
      this.show(rows, this.list);
    }
    this.draw();
  }

  summary(rows) {
    const { data } = this, said = [];
    for (const [key, what] of [["component", data.what], ["label", "label"]]) {
      if (!data[key]) continue;
      const n = new Map();
      rows.forEach(i => n.set(data[key][i], (n.get(data[key][i]) || 0) + 1));
      const most = [...n].sort((a, b) => b[1] - a[1]).slice(0, 4);
      said.push(most.map(([v, c]) => `${what} ${v}: ${c}`).join(", ") + ".");
    }
    if (data.score) {
      const known = rows.map(i => data.score[i]).filter(v => v !== null);
      const mean = known.reduce((a, b) => a + b, 0) / known.length;
      said.push(`Mean ${data.score_name} ${mean.toFixed(2)} nats.`);
    }
    return said.join(" ");
  }

  show(rows, parent) {  /* some rows, as images or as a table */
    const some = rows.slice(0, MOST_SHOWN);
    const box = element("div", undefined, parent);
    if (this.data.tile) {
      box.className = "strip";
      some.forEach(i => {
        const one = element("figure", undefined, box);
        one.append(this.thumb(i, 56));
        const below = element("figcaption", this.data.rows[i], one);
        if (this.data.score) { element("br", undefined, below); below.append(`${this.data.score[i]}`); }
      });
    } else {
      box.className = "wide";
      box.tabIndex = 0;
      box.append(this.rowsTable(some));
    }
    if (rows.length > some.length) element("p", `The first ${some.length} are shown.`, parent);
  }

  outliers(part) {
    const slider = part?.querySelector(".threshold");
    if (!slider) return;
    const svg = part.querySelector("svg"), mark = svg.querySelector(".mark"), box = part.querySelector(".below");
    const said = part.querySelector("output");
    const { low, high } = svg.dataset;
    const order = this.data.score.map((v, i) => [v === null ? -Infinity : v, i]).sort((a, b) => a[0] - b[0]);
    const update = () => {
      const t = Number(slider.value), rows = order.filter(([v]) => v < t).map(([, i]) => i);
      const x = (t - low) / (high - low || 1) * 600;
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
      const share = (100 * rows.length / order.length).toFixed(1);
      said.textContent = `${t.toFixed(2)} nats: ${rows.length} of ${order.length} rows (${share}%) are below`;
      box.replaceChildren();
      if (rows.length) this.show(rows, box);
    };
    slider.addEventListener("input", update);
    update();
  }
}

const runs = [...document.querySelectorAll(".run")].map(part => new Run(part));
