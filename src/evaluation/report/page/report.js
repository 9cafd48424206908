// What was measured: tables that sort, comparisons, plots, how it was made.
"use strict";

// Puts the rows of a table in the order of a column, and back in their own at the third click.
function sortable(table) {
  const body = table.tBodies[0];
  const own = [...body.rows];
  const heads = [...table.querySelectorAll("th[data-column]")];
  for (const head of heads) {
    const column = Number(head.dataset.column);
    const value = (row) => row.cells[column].dataset.value;
    const sort = () => {
      const next = { none: "descending", descending: "ascending", ascending: "none" }[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? next : "none"));
      const sign = next === "descending" ? -1 : 1;
      const rows = next === "none" ? own : [...own].sort((a, b) => compare(value(a), value(b), sign));
      body.append(...rows);
    };
    head.setAttribute("aria-sort", "none");
    head.firstElementChild.addEventListener("click", sort);
  }
  return table;
}

// Numbers by size and texts by letters; what has no value comes last either way.
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const numbers = [Number(a), Number(b)];
  return sign * (numbers.some(Number.isNaN) ? a.localeCompare(b) : numbers[0] - numbers[1]);
}

const sortHead = (column, label, number) =>
  el("th", { scope: "col", "data-column": column, class: number ? "number" : null }, el("button", { type: "button" }, label));

const scrolls = (label, table) => el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label }, table);

const rowHead = (name) => el("th", { scope: "row", "data-value": name }, el("div", null, said(name)));

function cell(found) {
  const value = found.mean === null ? "" : found.mean;
  const lines = [
    found.text === null ? "–" : el("span", { class: found.best ? "best" : null }, found.text),
    found.error !== null && el("span", { class: "faint" }, ` ± ${found.error}`),
    found.difference && el("span", { class: `sub ${found.arrow === "▲" ? "good" : found.arrow === "▼" ? "bad" : ""}` }, `${found.arrow} ${found.difference}`),
    el("span", { class: "sub" }, `n = ${found.classes}`),
    found.left_out && el("span", { class: "sub bad" }, found.left_out),
  ];
  return el("td", { class: "number", "data-value": value }, lines);
}

function resultsTable() {
  const legend = el("p", { class: "faint small" }, "Mean ± standard error over classes; n is the number of classes. Bold: best of the column. ",
    "▲ better, ▼ worse than the base system on the same prompts and seeds; p by a sign-flip test, adjusted by Holm's method.");
  return [legend, scrolls("Results", sortable(el("table", { id: "results-table" },
    el("thead", null,
      el("tr", null, sortHead(0, "System"), data.columns.map((column, at) =>
        sortHead(at + 1, [el("span", { class: "sub" }, column.dataset), " ", `${column.metric}\u00a0${column.arrow}`], true)))),
    el("tbody", null, data.rows.map((row) =>
      el("tr", null, rowHead(row.system), row.cells.map(cell)))))))];
}

function comparison(found, first) {
  const heads = ["System", "Data set", "Metric", "Ours", "Paper", "Difference", "In combined SE"];
  return el("details", { open: first }, el("summary", null, el("strong", null, `The paper's ${found.table}`), ` ${found.caption}`),
    scrolls(`The paper's ${found.table}`, sortable(el("table", null,
      el("thead", null, el("tr", null, heads.map((head, at) => sortHead(at, head, at > 2)))),
      el("tbody", null, found.rows.map((row) => el("tr", null, row.map((text, at) =>
        at === 0 ? rowHead(text) : el("td", { class: at > 2 ? "number" : null, "data-value": at > 2 && text === "–" ? "" : at > 2 ? parseFloat(text) : text }, said(text))))))))),
    found.remarks.length > 0 && el("ul", { class: "small" }, found.remarks.map((remark) => el("li", null, remark))));
}

// A plot of many bars has the whole width, and scrolls before its letters are too small.
function plot(found) {
  const enlarge = (event) => {
    const { naturalWidth: width, style, parentElement } = event.target;
    style.minWidth = `${0.75 * width}px`;
    parentElement.classList.toggle("broad", width > 800);
  };
  return el("figure", { class: "wide", tabindex: "0", role: "region", "aria-label": found.title }, el("img", { src: found.src, alt: found.description, load: enlarge }));
}

function systemsTable() {
  const heads = ["System", "Drawn", "Failed", "Refused", "Missing", "Time"];
  const row = (system) => el("tr", null,
    rowHead(system.name),
    [system.drawn, system.failed, system.refused, system.missing].map((count) => el("td", { class: "number", "data-value": count }, count)),
    el("td", { class: "number", "data-value": system.elapsed }, seconds(system.elapsed)));
  return scrolls("Systems", sortable(el("table", null,
    el("thead", null, el("tr", null, heads.map((head, at) => sortHead(at, head, at > 0)))),
    el("tbody", null, data.systems.map(row)))));
}

function about() {
  return [
    el("h2", { id: "systems" }, "Systems"), systemsTable(),
    data.systems.map((system) => el("details", null, el("summary", null, said(system.name), system.base && [el("span", { class: "faint" }, " over "), said(system.base)]),
      el("p", null, said(system.description || "Nothing is known of its parts.")),
      el("p", { class: "faint small" }, "Settings ", said(system.settings)),
      facts(system.usage))),
    el("h2", { id: "metrics" }, "Metrics"),
    facts(data.metrics.map((metric) => [`${metric.name} ${metric.arrow}`, metric.fingerprint])),
    el("h2", { id: "datasets" }, "Data sets"),
    data.datasets.map((set) => el("details", { open: true }, el("summary", null, said(set.name), ` (${set.items} items)`),
      el("p", null, "License: ", said(set.license || "unknown")),
      set.notes.length > 0 && el("ul", null, set.notes.map((note) => el("li", null, said(note)))))),
  ];
}

function overview() {
  return [
    el("header", null, el("h1", { dir: "auto" }, brief(data.title, "Evaluation")),
      el("p", { class: "faint" }, `${data.systems.length} systems, ${data.datasets.length} data sets, ${data.metrics.length} metrics, ${data.items.length} prompts and seeds.`),
      el("nav", { "aria-label": "Contents", class: "noprint" }, [["results", "Results"], data.comparisons.length > 0 && ["paper", "Beside the paper"],
        data.plots.length > 0 && ["plots", "Plots"], ["items", "Pictures"], ["systems", "Systems"], ["metrics", "Metrics"], ["datasets", "Data sets"]]
        .filter(Boolean).map(([id, name]) => el("a", { href: `#${id}` }, name))),
      data.notes.map((note) => el("p", { class: "note" }, said(note)))),
    el("h2", { id: "results" }, "Results"), resultsTable(),
    data.comparisons.length > 0 && [
      el("h2", { id: "paper" }, "Beside the paper"),
      el("p", null, "The numbers are not expected to be equal: the paper leaves open which models, seeds, resolution and real images it used. ",
        "“In combined SE” divides the difference by √(SE² + SE²)."),
      data.comparisons.map((found, at) => comparison(found, at === 0))],
    data.plots.length > 0 && [el("h2", { id: "plots" }, "Plots"), el("div", { class: "plots" }, data.plots.map(plot))],
  ];
}
