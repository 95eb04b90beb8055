"use strict";
// The page keeps its state here; the server keeps none but uploads.
const $ = (id) => document.getElementById(id);
let about; // what the run is
let state; // {example, label, codes: {"k,latent": value}, weights, sources}
let scene; // the last answer of "decode"
let convertible; // an upload that can be converted

// ---- asking the server ------------------------------------------------------------------------

async function fetched(path, options) {
  let answer, found;
  try {
    answer = await fetch(path, { method: "POST", ...options });
    found = await answer.json();
  } catch {
    throw new Error("the server does not answer; is mixvae explore still running?");
  }
  if (!answer.ok) throw Object.assign(new Error(found.error), found);
  $("error").hidden = true;
  return found;
}

const ask = (name, asked = {}) =>
  fetched(`api/${name}`, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) });

function complain(error) {
  $("error").textContent = error.message;
  $("error").hidden = false;
}

// The handler of an event: what fails becomes a line in the page.
const handled = (f) => async (event) => {
  try {
    await f(event);
  } catch (error) {
    complain(error);
  }
};
const on = (id, kind, f) => $(id).addEventListener(kind, handled(f));

// ---- small parts of the page ------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const { dataset = {}, style = {}, attributes = {}, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, dataset);
  for (const [name, value] of Object.entries(style)) element.style.setProperty(name, value);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function picture(x, what) {
  const canvas = make("canvas", { width: x.width, height: x.height, attributes: { role: "img", "aria-label": what } });
  paint(canvas, x);
  return canvas;
}

function paint(canvas, x) {
  const bytes = atob(x.pixels);
  const image = new ImageData(x.width, x.height);
  for (let i = 0, j = 0; i < bytes.length; i += 3, j += 4) {
    image.data[j] = bytes.charCodeAt(i);
    image.data[j + 1] = bytes.charCodeAt(i + 1);
    image.data[j + 2] = bytes.charCodeAt(i + 2);
    image.data[j + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const captioned = (x, caption, what = caption) => make("figure", {}, picture(x, what), make("figcaption", {}, caption));
const short = (value) => (value === null ? "missing" : typeof value === "number" ? String(Number(value.toPrecision(4))) : value);
const fixed = (value, digits = 2) => (value === null ? "–" : value.toFixed(digits));
const isTable = () => about.kind === "table";
const several = () => about.n_components > 1;
const option = (value, text) => make("option", { value }, text);

// A table of values: a row for each column of the data, a column for each x.
function values(names, rows, most = -1) {
  const head = make("tr", {}, make("th", { scope: "col" }, "column"));
  names.forEach((name, i) => head.append(make("th", { scope: "col", className: i === most ? "most" : "" }, name)));
  const body = make("tbody");
  about.columns.forEach((column, d) => {
    const line = make("tr", {}, make("th", { scope: "row" }, column.name));
    for (const row of rows) line.append(cell(column, row[d]));
    body.append(line);
  });
  return make("table", {}, make("thead", {}, head), body);
}

function cell(column, value) {
  if (typeof value !== "number") return make("td", {}, short(value));
  const span = column.high - column.low || 1;
  const at = Math.min(1, Math.max(0, (value - column.low) / span));
  const place = make("div", { className: "place", attributes: { "aria-hidden": "true" } }, make("span", { style: { "--at": at } }));
  return make("td", { className: "number" }, short(value), place);
}

// Several x with captions: pictures, or one table.
function show(where, xs, captions, most = -1) {
  where.classList.toggle("scroll", isTable());
  if (isTable()) Object.assign(where, { tabIndex: 0, role: "region" });
  where.replaceChildren(...(isTable() ? [values(captions, xs, most)] : xs.map((x, i) => captioned(x, captions[i]))));
}

// ---- the example ------------------------------------------------------------------------------

function question() {
  const codes = Object.entries(state.codes).map(([key, value]) => [...key.split(",").map(Number), value]);
  return { example: state.example, label: state.label, codes, weights: state.weights, sources: state.sources };
}

async function choose(example, label = null) {
  const before = state;
  state = { example, label, codes: {}, weights: null, sources: null };
  try {
    scene = await ask("decode", question());
  } catch (error) {
    state = before;
    throw error;
  }
  $("log-says").textContent = "";
  for (const id of ["line-out", "cross-out"]) $(id).replaceChildren();
  if (about.n_classes !== null) $("class").value = String(scene.label);
  buildComponents();
  buildLatents();
  if (isTable()) fillFields();
  showScene();
  markThumbnail();
}

const pickRow = (row) => {
  const split = $("split").value;
  const last = about.splits[split] - 1;
  if (!Number.isInteger(row) || row < 0 || row > last) throw new Error(`rows of ${split} are 0 to ${last}.`);
  $("row").value = row;
  return choose({ split, row });
};

async function thumbnails(first) {
  const n = isTable() ? 0 : 12;
  if (!n) return;
  const found = await ask("thumbnails", { split: $("split").value, row: first, n });
  $("thumbnails").replaceChildren(
    ...found.rows.map((row, i) => {
      const label = found.labels[i] === null ? "" : `, ${found.labels[i]}`;
      const button = make("button", { type: "button", dataset: { row } }, picture(found.x[i], `row ${row}${label}`), make("span", {}, String(row)));
      button.addEventListener("click", handled(() => pickRow(row)));
      return button;
    }),
  );
  markThumbnail();
}

function markThumbnail() {
  for (const button of $("thumbnails").children) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.row) === state.example.row && state.example.split === $("split").value));
  }
}

async function step(by) {
  const n = about.splits[$("split").value];
  const row = (((Number($("row").value) + by) % n) + n) % n;
  await pickRow(row);
  if (![...$("thumbnails").children].some((b) => Number(b.dataset.row) === row)) await thumbnails(row);
}

async function uploadImage(resize) {
  const file = resize ? convertible : $("file").files[0];
  if (!file) return;
  $("convert").hidden = true;
  $("own-notes").textContent = "";
  if (file.size > 20 * 2 ** 20) throw new Error("at most 20 MiB are read; give a smaller file.");
  const query = new URLSearchParams({ resize: resize ? "1" : "0", invert: $("invert").checked ? "1" : "0" });
  try {
    await taken(await fetched(`api/image?${query}`, { body: file }));
  } catch (error) {
    if (error.can_convert) {
      convertible = file;
      $("convert").hidden = false;
    }
    throw error;
  }
}

async function taken(found) {
  $("own-notes").textContent = found.notes.join(" ");
  await choose({ upload: found.upload }, state.label);
}

function buildFields() {
  $("fields").replaceChildren(
    ...about.columns.map((column) => {
      const input = column.categories.length
        ? make("select", {}, option("", "missing"), ...column.categories.map((c) => option(c, c)))
        : make("input", { type: "text", inputMode: "decimal" });
      input.dataset.number = column.number;
      return make("label", { className: "field" }, column.name, input);
    }),
  );
}

function fillFields() {
  const inputs = $("fields").querySelectorAll("[data-number]");
  inputs.forEach((input, d) => {
    input.value = scene.x[d] === null ? "" : typeof scene.x[d] === "number" ? String(Number(scene.x[d].toPrecision(7))) : scene.x[d];
    input.dataset.before = input.value;
  });
}

async function useFields() {
  const changed = [...$("fields").querySelectorAll("[data-number]")].filter((input) => input.value !== input.dataset.before);
  const typed = Object.fromEntries(changed.map((input) => [input.dataset.number, input.value]));
  await taken(await ask("row", { example: state.example, label: state.label, values: typed }));
}

// ---- decoding after a change: one request at a time, the last one wins ---------------------------

let busy = false;
let again = false;
async function refresh() {
  again = true;
  if (busy) return;
  busy = true;
  try {
    while (again) {
      again = false;
      const asked = state;
      const found = await ask("decode", question());
      if (asked === state) {
        scene = found;
        showScene();
      }
    }
  } finally {
    busy = false;
  }
}

function showScene() {
  const label = scene.label === null ? "" : `, ${about.label} ${scene.label}`;
  const names = [`example (${scene.name}${label})`, several() ? "all components together" : "reconstruction"];
  const errors = isTable() ? "of values as the model sees them" : "of pixels in [0, 1]";
  $("scene-says").textContent = `Root mean squared error ${fixed(scene.error, 3)} (${errors}).${changes()}`;
  if (isTable()) {
    const parts = several() ? scene.components : [];
    const most = several() ? 2 + parts.findIndex((c) => c.index === scene.most_responsible) : -1;
    $("values").hidden = false;
    $("values").replaceChildren(
      values([...names, ...parts.map((c) => `component ${c.index}`)], [scene.x, scene.whole, ...parts.map((c) => c.x)], most),
    );
  } else {
    $("whole").replaceChildren(captioned(scene.x, names[0]), captioned(scene.whole, names[1]));
  }
  for (const c of scene.components) showComponent(c);
  showLatentsView();
  showClusters();
}

// Beside the sliders, so that what they do is seen: the component's reconstruction and the whole.
function showLatentsView() {
  const c = several() && scene.components.find((one) => one.index === Number($("component").value));
  const names = ["example", ...(c ? [`component ${c.index} alone`] : []), several() ? "all together" : "reconstruction"];
  show($("latents-view"), [scene.x, ...(c ? [c.x] : []), scene.whole], names);
}

function changes() {
  const done = [];
  if (Object.keys(state.codes).length) done.push(`${Object.keys(state.codes).length} latents`);
  if (state.weights) done.push("weights");
  if (state.sources) done.push("who reads which code");
  return done.length ? ` Changed: ${done.join(", ")}.` : "";
}

function showClusters() {
  $("clusters").hidden = !scene.clusters;
  if (!scene.clusters) return;
  const lines = scene.clusters.map((share, c) => make("div", { className: "small" }, `cluster ${c}: ${fixed(share)}`, meter(share)));
  $("clusters").replaceChildren(make("p", {}, "Probabilities q(c | x) of the prior's clusters:"), ...lines);
}

const meter = (share) => make("div", { className: "meter", attributes: { "aria-hidden": "true" } }, make("span", { style: { "--share": share } }));

// ---- components ---------------------------------------------------------------------------------

function buildComponents() {
  if (!several()) {
    $("components").replaceChildren();
    return;
  }
  const n = scene.components.length;
  $("components-say").textContent =
    n < about.n_components ? `The ${n} of ${about.n_components} components with the largest responsibilities are shown.` : "";
  $("components").replaceChildren(...scene.components.map(card));
  fillSelects();
}

function card(c) {
  const k = c.index;
  const most = k === scene.most_responsible;
  const kept = about.kept[k];
  const article = make("article", { id: `component-${k}`, className: `card${most ? " most" : ""}${kept ? "" : " dropped"}` });
  const facts = make("div", { className: "grow small" }, make("div", { className: "share" }), meter(c.responsibility), make("div", { className: "rms" }), ...(most ? [make("strong", {}, about.weights.largest)] : []));
  const row = make("div", { className: "row" });
  if (!isTable()) row.append(picture(c.x, `reconstruction by component ${k}`));
  row.append(facts);
  article.append(make("h3", {}, `Component ${k}${kept ? "" : " (dropped)"}`), row);
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, disabled: !kept, className: "weight", attributes: { "aria-label": `weight of component ${k}` } });
  slider.addEventListener("input", handled(() => setWeight(k, Number(slider.value))));
  article.append(make("label", {}, "Weight", slider, make("output", { className: "weight-is" })));
  if (!about.no_exchange) {
    const select = make("select", { className: "source", attributes: { "aria-label": `code that sub-decoder ${k} reads` } });
    for (const other of scene.components) select.append(option(other.index, other.index === k ? `${k} (own)` : other.index));
    select.value = k;
    select.addEventListener("change", handled(() => setSource(k, Number(select.value))));
    article.append(make("label", {}, "Decodes code of", select));
  }
  return article;
}

function showComponent(c) {
  const article = $(`component-${c.index}`);
  if (!article) return;
  const name = about.weights.name;
  article.querySelector(".share").textContent = `${name} ${fixed(c.responsibility, 3)}`;
  article.querySelector(".rms").textContent = `error ${fixed(c.error, 3)}`;
  article.querySelector(".weight-is").textContent = fixed(c.weight);
  const slider = article.querySelector(".weight");
  if (document.activeElement !== slider || !state.weights) slider.value = state.weights ? state.weights[c.index] : c.weight;
  const canvas = article.querySelector("canvas");
  if (canvas) paint(canvas, c.x);
}

function fillSelects() {
  const chosen = $("component").value;
  const indices = scene.components.map((c) => c.index);
  for (const id of ["component", "cross-row"]) $(id).replaceChildren(...indices.map((k) => option(k, k)));
  $("component").value = indices.includes(Number(chosen)) && chosen !== "" ? chosen : scene.most_responsible;
  $("cross-row").value = scene.most_responsible;
}

function setWeight(k, value) {
  if (!state.weights) {
    state.weights = Array(about.n_components).fill(0);
    for (const c of scene.components) state.weights[c.index] = c.weight;
  }
  state.weights[k] = value;
  return refresh();
}

function setSource(k, source) {
  state.sources ??= [...Array(about.n_components).keys()];
  state.sources[k] = source;
  return refresh();
}

async function reset() {
  Object.assign(state, { codes: {}, weights: null, sources: null });
  for (const select of document.querySelectorAll(".source")) select.value = select.closest("article").id.split("-")[1];
  await refresh();
  buildLatents();
}

// ---- latents --------------------------------------------------------------------------------------

const MOST_LATENTS = 12;

function buildLatents() {
  const k = several() ? Number($("component").value) : 0;
  const own = about.latents[k];
  const order = own.map((_, i) => i).sort((a, b) => own[b].sd - own[a].sd);
  const many = own.length > MOST_LATENTS;
  $("all-label").hidden = !many;
  const listed = many && !$("all").checked ? order.slice(0, MOST_LATENTS) : order;
  $("latents-say").textContent =
    `Those whose means vary most over the data come first${listed.length < own.length ? `: ${listed.length} of ${own.length}` : ""}. ` +
    "In brackets, the standard deviation of the posterior.";
  $("latents").replaceChildren(...listed.map((i) => latent(k, i)));
}

function latent(k, i) {
  const c = scene.components.find((one) => one.index === k);
  const { low, high } = about.latents[k][i];
  const value = state.codes[`${k},${i}`] ?? c.codes[i];
  const step = (high - low) / 200;
  const slider = make("input", {
    type: "range", min: Math.min(low, value), max: Math.max(high, value), step, value,
    attributes: { "aria-label": `latent ${i} of component ${k}` },
  });
  const output = make("output", {}, fixed(value));
  const scale = c.scales[i] === null ? "" : ` (${fixed(c.scales[i])})`;
  const line = make("div", { className: "latent" }, make("span", { className: "name" }, `latent ${i}${scale}`), slider, output);
  line.classList.toggle("changed", `${k},${i}` in state.codes);
  slider.addEventListener("input", handled(() => {
    state.codes[`${k},${i}`] = Number(slider.value);
    output.textContent = fixed(Number(slider.value));
    line.classList.add("changed");
    return refresh();
  }));
  return line;
}

async function resetCode() {
  const k = several() ? $("component").value : "0";
  for (const key of Object.keys(state.codes)) if (key.split(",")[0] === k) delete state.codes[key];
  await refresh();
  buildLatents();
}

// ---- interpolation, exchange, samples, log p(x) -----------------------------------------------------

const whole = (id) => {
  const text = $(id).value;
  if (!/^\d+$/.test(text)) throw new Error(`expected a whole number; got ${text || "nothing"}.`);
  return Number(text);
};

async function interpolate() {
  const end = { split: $("end-split").value, row: whole("end-row") };
  const shift = several() ? Number($("shift").value) : 0;
  const found = await ask("interpolate", { example: state.example, label: state.label, end, steps: whole("steps"), shift });
  const captions = [found.names[0], ...found.at.map((a) => fixed(a)), found.names[1]];
  show($("line-out"), [found.start, ...found.steps, found.end], captions);
}

async function cross() {
  const found = await ask("cross", { example: state.example, label: state.label });
  const names = found.components.map((k) => `decoder ${k}`);
  if (isTable()) {
    const i = found.components.indexOf(Number($("cross-row").value));
    $("cross-out").replaceChildren(values(names, found.rows[i], i));
    return;
  }
  const head = make("tr", {}, make("th", {}, "code of"), ...names.map((name) => make("th", { scope: "col" }, name)));
  const lines = found.rows.map((row, i) =>
    make("tr", {}, make("th", { scope: "row" }, String(found.components[i])),
      ...row.map((x, j) => make("td", { className: i === j ? "own" : "" }, picture(x, `code of ${found.components[i]} by decoder ${found.components[j]}`)))));
  $("cross-out").replaceChildren(make("table", { className: "pictures" }, make("thead", {}, head), make("tbody", {}, ...lines)));
}

async function sample() {
  const from = $("sample-component").value;
  const asked = { n: whole("n"), seed: whole("seed"), noise: $("noise").checked };
  if (about.n_classes !== null) asked.label = Number($("class").value);
  if (/^\d+$/.test(from)) asked.component = Number(from);
  if (from === "weights") asked.weights = weightsNow();
  const found = await ask("sample", asked);
  show($("samples"), found.samples, found.samples.map((_, i) => String(i)));
}

function weightsNow() {
  const weights = Array(about.n_components).fill(0);
  for (const c of scene.components) weights[c.index] = c.weight;
  return weights;
}

async function logLikelihood() {
  $("log-says").textContent = "Estimating …";
  try {
    const found = await ask("log_likelihood", { example: state.example, label: state.label });
    const k = found.k_hat === null ? "" : `, k̂ ${fixed(found.k_hat)}`;
    const mark = found.reliable === null ? "reliability unknown" : found.reliable ? "reliable" : "UNRELIABLE: likely too low, and its error larger than stated";
    const units = found.in_data_units === null ? "" : ` In the units of the data: ${fixed(found.in_data_units)} nats.`;
    const kind = found.is_density ? "a log density, which may be positive" : "a log probability";
    $("log-says").textContent =
      `log p(x) ≈ ${fixed(found.log_prob)} ± ${fixed(found.error)} nats (${found.n_samples} importance samples${k}): ${mark}.${units} It is ${kind}, of the example without the changes.`;
  } catch (error) {
    $("log-says").textContent = "";
    throw error;
  }
}

// ---- the start ----------------------------------------------------------------------------------------

async function start() {
  about = await ask("about");
  const parts = several() ? `${about.n_components} components, ` : "";
  $("about").textContent = `${about.run}: ${about.recipe} on ${about.data}, ${parts}${about.latents[0].length} latents each`.replace(several() ? "" : " each", "");
  document.title = `${about.run} – mixvae explore`;
  $("notes").replaceChildren(...about.notes.map((note) => make("li", {}, note)));
  $("weights-are").textContent = several() ? about.weights.what : "";
  for (const id of ["components-section", "of-label", "shift-label", "sample-of", "cross-section"]) $(id).hidden = !several();
  $("components-section").hidden = !several() && !isTable();
  if (!several()) $("h-components").textContent = "Values";
  if (about.no_exchange) {
    $("cross-says").textContent = about.no_exchange;
    $("cross-controls").hidden = true;
    $("shift-label").hidden = true;
  }
  $("cross-of").hidden = !isTable();
  $("places-are").hidden = !isTable();
  if (isTable()) $("cross").textContent = "Decode it by all";
  if (isTable() && !about.no_exchange) $("cross-says").textContent = "The code of a component, decoded by every sub-decoder. A frame marks its own.";
  $("own-image").hidden = isTable();
  $("own-row").hidden = !isTable();
  $("whole").hidden = isTable();
  const shifts = Array.from({ length: Math.min(about.n_components, about.max_components) }, (_, i) => option(i, i ? `encoder j + ${i}` : "its own encoder"));
  $("shift").replaceChildren(...shifts);
  const each = Array.from({ length: Math.min(about.n_components, 200) }, (_, k) => option(k, `component ${k}`));
  $("sample-component").replaceChildren(option("all", "all components"), option("weights", "all, with the weights above"), ...each);
  if (isTable()) $("noise").checked = true;
  if (isTable()) buildFields();
  if (about.n_classes !== null) {
    $("class-label").hidden = false;
    if (about.label === "batch") $("class-label").firstChild.textContent = "Batch ";
    $("class").replaceChildren(...Array.from({ length: about.n_classes }, (_, c) => option(c, c)));
  }
  limits();
  await choose({ split: "test", row: 0 });
  await thumbnails(0);
  document.querySelector("main").hidden = false;
}

function limits() {
  $("of").textContent = `of ${about.splits[$("split").value]}`;
  $("row").max = about.splits[$("split").value] - 1;
  $("end-row").max = about.splits[$("end-split").value] - 1;
}

on("split", "change", async () => {
  limits();
  await pickRow(0);
  await thumbnails(0);
});
on("end-split", "change", limits);
on("row", "change", () => pickRow(whole("row")));
on("previous", "click", () => step(-1));
on("next", "click", () => step(1));
on("random", "click", async () => {
  const row = Math.floor(Math.random() * about.splits[$("split").value]);
  await pickRow(row);
  await thumbnails(row);
});
on("class", "change", () => choose(state.example, Number($("class").value)));
on("file", "change", () => uploadImage(false));
for (const id of ["file", "csv"]) on(id, "click", () => { $(id).value = ""; }); // the same file again is a change
on("invert", "change", () => uploadImage(false));
on("convert", "click", () => uploadImage(true));
on("csv", "change", async () => {
  const file = $("csv").files[0];
  if (file) await taken(await fetched("api/csv", { body: file }));
});
on("form", "submit", (event) => {
  event.preventDefault();
  return useFields();
});
on("reset", "click", reset);
on("reset-code", "click", resetCode);
on("log", "click", logLikelihood);
on("component", "change", () => {
  buildLatents();
  showLatentsView();
});
on("all", "change", buildLatents);
on("line", "click", interpolate);
on("cross", "click", cross);
on("sample", "click", sample);
handled(start)();
