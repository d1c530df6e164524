"use strict";
// The page of one model. Everything it shows comes from ui/card, explain, predict and invocations below the same address.
const $ = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const percent = (p) => (p > 0 && p < 0.001) || (p < 1 && p > 0.999) ? (100 * p).toPrecision(3) + "\u00a0%" : (100 * p).toFixed(1) + "\u00a0%";
const number = (x) => Number.isInteger(x) ? String(x) : String(Number(x.toPrecision(5)));
let card, fields, asked = 0;

// ---- the form

function control(input) {
  const id = "in-" + input.name;
  if (input.choices || input.type === "boolean") {
    const options = input.choices || ["true", "false"];
    const select = make("select", { id }, ...(input.required ? [] : [make("option", { value: "", textContent: "(missing)" })]),
      ...options.map((value) => make("option", { value, textContent: value === "" ? "(missing)" : value })));
    return select;
  }
  const isNumber = input.type === "long" || input.type === "double";
  const box = make("input", { id, type: isNumber ? "number" : input.type === "date" ? "date" : "text" });
  if (isNumber) box.step = input.type === "long" ? "1" : "any";
  return box;
}

function hint(input) {
  if (input.min === undefined || input.min === null) return input.required ? "" : "may be left empty";
  return `in training ${number(input.min)} to ${number(input.max)}` + (input.required ? "" : ", may be empty");
}

function buildForm() {
  fields = card.inputs.map((input) => {
    const box = control(input), note = make("small", { id: "note-" + input.name, textContent: hint(input) });
    box.setAttribute("aria-describedby", note.id);
    box.addEventListener("input", soon);
    const label = make("label", { htmlFor: box.id, textContent: input.name });
    const field = { input, box, note, frame: make("div", { className: "field" }, label, box, note) };
    $("form").append(field.frame);
    return field;
  });
  $("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
}

function exampleRow() {
  const split = card.example && card.example.dataframe_split, row = {};
  card.inputs.forEach((input) => {
    const at = split ? split.columns.indexOf(input.name) : -1;
    row[input.name] = at >= 0 && split.data.length ? split.data[0][at] : input.median ?? (input.choices || [""])[0];
  });
  return row;
}

function fill(row) {
  fields.forEach(({ input, box }) => { box.value = row[input.name] ?? ""; });
  ask();
}

function value({ input, box }) {
  if (box.value === "" && !input.required) return null;
  if (input.type === "boolean") return box.value === "true";
  if (input.type !== "long" && input.type !== "double") return box.value;
  return box.value === "" || Number.isNaN(Number(box.value)) ? null : Number(box.value);
}

const currentRow = () => Object.fromEntries(fields.map((field) => [field.input.name, value(field)]));

// ---- asking

// What is only tried out on the form counts neither as a prediction nor in drift.
const whatIf = (path, body) => send(path, body, "application/json", { "X-What-If": "1" });

async function send(path, body, type = "application/json", further = {}) {
  const reply = await fetch(path, { method: "POST", headers: { "Content-Type": type, ...further }, body });
  return { status: reply.status, text: await reply.text(), version: reply.headers.get("X-Model-Version") };
}

let timer;
function soon() { clearTimeout(timer); timer = setTimeout(ask, 120); }

async function ask() {
  const turn = ++asked, row = currentRow(), body = JSON.stringify(row);
  showRequest(row);
  try {
    const [answer, explained, effects] = await Promise.all([whatIf("predict", body), whatIf("explain", body), whatIf("predict", JSON.stringify(variants(row)))]);
    if (turn !== asked) return;
    $("response").textContent = answer.text;
    mark(answer);
    if (answer.status !== 200) { showProblem(answer); return; }
    showAnswer(JSON.parse(answer.text));
    if (explained.status === 200) showWhy(JSON.parse(explained.text));
    showEffects(row, effects.status === 200 ? JSON.parse(effects.text) : []);
  } catch (error) {
    $("answer").replaceChildren(make("p", { className: "error", textContent: "The server cannot be reached: " + error.message }));
  }
}

function mark(answer) {
  const wrong = new Map();
  if (answer.status === 422)
    for (const item of JSON.parse(answer.text).detail) if (Array.isArray(item.loc)) wrong.set(item.loc[item.loc.length - 1], item.msg);
  for (const { input, box, note, frame } of fields) {
    const message = wrong.get(input.name);
    frame.classList.toggle("bad", Boolean(message));
    box.setAttribute("aria-invalid", String(Boolean(message)));
    note.textContent = message || hint(input);
  }
}

function showProblem(answer) {
  const first = fields.find(({ frame }) => frame.classList.contains("bad"));
  $("answer").replaceChildren(make("p", { className: "error", textContent: first ? `Please look at “${first.input.name}”: ${first.note.textContent}.` : answer.text }));
  $("why").replaceChildren();
  $("effect").replaceChildren();
}

// ---- showing

const isBinary = () => card.task === "binary";
const main = (row) => row[card.outputs[0]];
const shown = (row) => isBinary() ? percent(main(row)) : typeof main(row) === "number" ? number(main(row)) : String(main(row));

function sentence(row) {
  if (!isBinary()) return `The prediction is ${shown(row)}.`;
  const positive = row[card.outputs[1]] === 1, what = card.outputs[1].replace(/_prediction$/, "").replaceAll("_", " ");
  return `${positive ? "Yes" : "No"}: ${what} is ${positive ? "expected" : "not expected"}, with a probability of ${percent(main(row))}.`;
}

function showAnswer(row) {
  const parts = [make("p", { className: "sentence", textContent: sentence(row) })];
  if (isBinary()) {
    const fillBar = make("span", {});
    fillBar.style.width = 100 * main(row) + "%";
    const gauge = make("div", { className: "gauge" }, fillBar);
    gauge.setAttribute("role", "img");
    gauge.setAttribute("aria-label", "probability " + percent(main(row)));
    parts.push(gauge);
  }
  $("answer").replaceChildren(...parts);
}

function showWhy(row) {
  let explanation = row.explanation;
  if (!explanation.contributions) explanation = explanation[main(row)] || Object.values(explanation)[0];
  const items = explanation.contributions.filter((item) => item.contribution !== 0).sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const largest = Math.max(...items.map((item) => Math.abs(item.contribution)), 1e-12);
  const list = items.slice(0, 15).map((item) => {
    const bar = make("i", { className: item.contribution < 0 ? "minus" : "" }), width = 50 * Math.abs(item.contribution) / largest;
    bar.style.width = width + "%";
    bar.style.left = (item.contribution < 0 ? 50 - width : 50) + "%";
    return make("li", {}, make("span", { className: "name", textContent: item.feature }), make("span", { className: "track" }, bar),
      make("span", { className: "value", textContent: (item.contribution > 0 ? "+" : "") + Number(item.contribution.toPrecision(3)) }));
  });
  const note = `On the scale of the score (log odds for yes-or-no models): ${number(explanation.score)} = intercept ${number(explanation.intercept)} + the sum of these.`;
  $("why").replaceChildren(make("ul", { className: "bars" }, ...list), make("p", { className: "quiet", textContent: note }));
}

// Each input at its ends, or at each choice, the others as they are.
function alternatives(input) {
  if (input.choices) return input.choices.slice(0, 30);
  if (input.type === "boolean") return [true, false];
  return input.min !== undefined && input.min !== null && input.min !== input.max ? [input.min, input.max] : [];
}
const variants = (row) => card.inputs.flatMap((input) => alternatives(input).map((other) => ({ ...row, [input.name]: other })));

function showEffects(row, answers) {
  let at = 0;
  const list = [];
  for (const input of card.inputs) {
    const others = alternatives(input), found = answers.slice(at, at += others.length);
    if (!found.length) continue;
    const rows = found.map((answer, i) => ({ other: others[i], answer })).sort((a, b) => main(a.answer) > main(b.answer) ? 1 : -1);
    const low = rows[0], high = rows[rows.length - 1], name = (x) => typeof x === "number" ? number(x) : String(x) || "(missing)";
    const same = shown(low.answer) === shown(high.answer);
    const text = same ? `${shown(low.answer)}, whatever it is` : `${shown(low.answer)} (${name(low.other)}) to ${shown(high.answer)} (${name(high.other)})`;
    list.push({ spread: typeof main(high.answer) === "number" ? main(high.answer) - main(low.answer) : 0,
      item: make("li", {}, make("span", { className: "name", textContent: input.name }), make("span", { textContent: text })) });
  }
  list.sort((a, b) => b.spread - a.spread);
  $("effect").replaceChildren(list.length ? make("ul", { className: "effects" }, ...list.map((entry) => entry.item))
    : make("p", { className: "quiet", textContent: "The package says nothing about the inputs' ranges." }));
}

function showRequest(row) {
  const url = new URL("predict", location.href).href, body = JSON.stringify(row);
  $("curl").textContent = `curl -s ${url} -H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}'`;
}

// ---- a whole file

const quoted = (cell) => /[",\r\n]/.test(cell) ? '"' + cell.replaceAll('"', '""') + '"' : cell;

// The lines of a CSV text: a line end within quotes does not end one.
function csvLines(text) {
  const lines = [];
  let begin = 0, inside = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') inside = !inside;
    else if (text[i] === "\n" && !inside) { lines.push(text.slice(begin, i).replace(/\r$/, "")); begin = i + 1; }
  }
  if (begin < text.length) lines.push(text.slice(begin));
  return lines.filter((line) => line.trim() !== "");
}

// The cells of one such line.
function csvCells(line) {
  const cells = [];
  for (let at = 0; at <= line.length; at++) {
    if (line[at] !== '"') {
      const end = line.indexOf(",", at) < 0 ? line.length : line.indexOf(",", at);
      cells.push(line.slice(at, end));
      at = end;
      continue;
    }
    let text = "";
    for (at++; at < line.length && (line[at] !== '"' || line[at + 1] === '"'); at++) text += line[at] === '"' ? line[at++] : line[at];
    cells.push(text);
    at++;
  }
  return cells;
}

// MLflow's protocol has no dates in CSV: such a file goes as JSON.
function asSplit(text) {
  const [names, ...data] = csvLines(text).map(csvCells), types = names.map((name) => (card.inputs.find((input) => input.name === name) || {}).type);
  const value = (cell, type) => type === "string" || type === undefined ? cell : cell.trim() === "" ? null : type === "boolean" ? /^true$/i.test(cell)
    : type === "date" || Number.isNaN(Number(cell)) ? cell.trim() : Number(cell);
  return JSON.stringify({ dataframe_split: { columns: names, data: data.map((cells) => names.map((_, i) => value(cells[i] ?? "", types[i]))) } });
}

async function scoreFile(file) {
  const status = $("csv-result");
  status.textContent = `Scoring ${file.name}…`;
  try {
    const text = (await file.text()).replace(/^\ufeff/, "");
    const answer = card.inputs.some((input) => input.type === "date") ? await send("invocations", asSplit(text)) : await send("invocations", text, "text/csv");
    if (answer.status !== 200) {
      const problem = JSON.parse(answer.text);
      status.textContent = "Refused: " + (problem.message || JSON.stringify(problem.detail));
      return;
    }
    const rows = JSON.parse(answer.text).predictions, lines = csvLines(text), names = card.outputs;
    const out = [lines[0] + "," + names.map(quoted).join(","), ...rows.map((row, i) => lines[i + 1] + "," + names.map((name) => quoted(String(row[name]))).join(","))];
    const link = make("a", { href: URL.createObjectURL(new Blob([out.join("\n") + "\n"], { type: "text/csv" })), download: file.name.replace(/\.csv$/i, "") + "-scored.csv",
      textContent: "download the file with the predictions" });
    status.replaceChildren(`${rows.length} rows scored: `, link);
  } catch (error) {
    status.textContent = "It could not be scored: " + error.message;
  }
}

function prepareDrop() {
  const drop = $("drop");
  $("file").addEventListener("change", (event) => { if (event.target.files[0]) scoreFile(event.target.files[0]); });
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) scoreFile(event.dataTransfer.files[0]);
  });
}

// ---- the model's card

function showCard() {
  const rows = { Name: card.model, Version: card.version, Run: card.run_id, "Logged model": card.model_id, Followed: card.uri, Task: card.task,
    "Training rows": card.n_rows, "Share of yes in training": card.label_rate === null || card.label_rate === undefined || !isBinary() ? null : percent(card.label_rate) };
  for (const [name, text] of Object.entries(rows))
    if (text !== null && text !== undefined) $("card").append(make("dt", { textContent: name }), make("dd", { textContent: String(text) }));
  for (const { name, value: figure } of card.metrics || []) {
    $("figures").tBodies[0].append(make("tr", {}, make("td", { textContent: name }), make("td", { textContent: number(figure) })));
    $("figures").hidden = false;
  }
  if (card.description) Object.assign($("description"), { textContent: card.description, hidden: false });
  $("title").textContent = document.title = card.model;
  $("subtitle").textContent = [card.version && "version " + card.version, card.task, card.outputs.join(", ")].filter(Boolean).join(" · ");
}

// A table of texts; the first column names the row. heads: with a line of names above, its further columns are numbers.
const tableOf = (caption, rows, heads) => make("table", { className: heads ? "counts" : "" }, make("caption", { textContent: caption }),
  ...(heads ? [make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { textContent: text, scope: "col" }))))] : []),
  make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell) => make("td", { textContent: cell }))))));

async function report(path) {
  const reply = await fetch(path);
  return reply.ok ? reply.json() : null;
}

async function showLive() {
  const live = card.takes_feedback && await report("feedback");
  if (!live || !live.versions.length) return;
  const names = { accuracy: "Accuracy", log_loss: "Log-loss", brier: "Brier score", mean_absolute_error: "Mean absolute error", root_mean_squared_error: "Root mean squared error" };
  $("figures-live").replaceChildren(...live.versions.slice(0, 3).flatMap((one) => [
    tableOf(`${one.model}${one.version && ", version " + one.version}: ${one.labels} labels`, Object.entries(names).filter(([key]) => one[key] !== null).map(([key, name]) => [name, number(one[key])])),
    ...(one.calibration ? [tableOf("Calibration", one.calibration.filter((bin) => bin.rows).map((bin) =>
      [`${Math.round(100 * bin.from)}\u2013${Math.round(100 * bin.to)}\u00a0%`, String(bin.rows), percent(bin.predicted), percent(bin.observed)]), ["Probability", "Rows", "Predicted", "Came true"])] : [])]));
  $("live").hidden = false;
}

async function showShadow() {
  const shadow = card.has_challenger && await report("shadow");
  if (!shadow || !shadow.rows) return;
  const name = (version, otherwise) => version ? "version " + version : otherwise;
  $("shadow").replaceChildren(tableOf(`${name(shadow.challenger, "the challenger")} beside ${name(shadow.champion, "the champion")}: ${shadow.rows} rows`, [
    ["Labels that differ", `${shadow.disagreements} (${percent(shadow.disagreements / shadow.rows)})`], ["Mean difference, without its sign", number(shadow.mean_absolute_difference)],
    ["Mean difference", number(shadow.mean_difference)], ["Largest difference", number(shadow.largest_difference)],
    ["Requests that one of them refused", String(shadow.failed)], ["Requests not looked at", String(shadow.dropped)]]));
  $("beside").hidden = false;
}

async function showDrift() {
  const drift = await report("drift");
  if (!drift || !drift.rows) return;
  const words = (psi) => psi === null ? "too few rows yet" : psi < 0.1 ? "as in training" : psi < 0.25 ? "somewhat different" : "very different";
  const few = drift.rows < drift.min_rows ? ` of the ${drift.min_rows} that a figure needs` : "";
  const table = tableOf(`${drift.rows} rows in the window${few}; PSI below 0.1 is small, above 0.25 large`,
    drift.features.sort((a, b) => b.psi - a.psi).map(({ name, psi }) => [name, words(psi), psi === null ? "" : psi.toFixed(3)]));
  $("drift").replaceChildren(table);
  $("watch").hidden = false;
}

async function start() {
  card = await (await fetch("ui/card")).json();
  showCard();
  buildForm();
  prepareDrop();
  $("example").addEventListener("click", () => fill(exampleRow()));
  $("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText($("curl").textContent);
      $("copied").textContent = "copied";
    } catch {
      getSelection().selectAllChildren($("curl"));
      $("copied").textContent = "selected: press Ctrl+C";
    }
  });
  fill(exampleRow());
  await Promise.all([showDrift(), showLive(), showShadow()]);
}

start().catch((error) => $("answer").replaceChildren(make("p", { className: "error", textContent: "The page could not start: " + error.message })));
