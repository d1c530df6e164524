"use strict";
// The operations of openapi.json, each with a box to try it.
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function bodyOf(operation) {
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  return content ? JSON.stringify(content.example ?? {}, null, 1) : null;
}

// Whoever tells what came true names the prediction by its id: the last one that this page was answered.
function fillId(id) {
  const box = document.getElementById("post-feedback");
  if (!box || box.dataset.touched) return;
  box.value = JSON.stringify({ ...JSON.parse(box.value), request_id: id }, null, 1);
}

function section(path, method, operation) {
  const id = (method + path).replace(/\W/g, "-"), example = bodyOf(operation), result = make("pre", { hidden: true, tabIndex: 0 });
  const box = example === null ? null : make("textarea", { id, value: example, rows: Math.min(18, example.split("\n").length + 1), spellcheck: false });
  if (box) box.addEventListener("input", () => { box.dataset.touched = "yes"; });
  const button = make("button", { type: "button", textContent: "Send" });
  button.addEventListener("click", async () => {
    const reply = await fetch(path.slice(1) || ".", { method: method.toUpperCase(), headers: box ? { "Content-Type": "application/json" } : { Accept: "application/json" }, body: box ? box.value : undefined });
    const text = await reply.text(), made = reply.ok && reply.headers.get("X-Request-Id");
    if (made) fillId(made);
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 1); } catch { /* not JSON: as it is */ }
    Object.assign(result, { hidden: false, textContent: `${reply.status} ${reply.statusText}\n${shown}` });
  });
  return make("section", {}, make("h2", { textContent: `${method.toUpperCase()} ${path}` }), make("p", { textContent: operation.summary || "" }),
    ...(box ? [make("label", { htmlFor: id, textContent: "Body" }), box] : []), make("p", { className: "buttons" }, button), result);
}

(async () => {
  const spec = await (await fetch("openapi.json")).json();
  document.title = document.getElementById("title").textContent = spec.info.title;
  document.getElementById("subtitle").textContent = "version " + spec.info.version;
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, operation] of Object.entries(methods)) document.getElementById("operations").append(section(path, method, operation));
})();
