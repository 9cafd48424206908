// Every prompt with what each system made of it: filters, search, pages, and one picture closely.
"use strict";

const PAGE = 24;
const OUTCOMES = {
  references: "drawn with references",
  draft: "the draft was good enough",
  drawn: "drawn without references",
  failed: "failed",
  refused: "refused",
  undetermined: "the critic could not say what to change",
  missing: "not drawn yet",
  unscored: "a score is missing",
};
const chosen = { dataset: "", system: "", class: "", outcome: "", query: "", order: "", page: 0 };

// A trace with its long texts in their places.
function whole(value) {
  if (Array.isArray(value)) return value.map(whole);
  if (value === null || typeof value !== "object") return value;
  return "$" in value ? data.texts[value.$] : Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, whole(inner)]));
}

const picture = (key) => (key === null || !Object.hasOwn(data.pictures, key) ? null : data.pictures[key]);
const value = (record, metric) => (record && record.scores[metric] ? record.scores[metric].value : null);
const className = (item) => item.class_name || item.class;

// What a search looks through, made when it is first asked for.
const words = new Map();
function searched(item) {
  if (!words.has(item)) {
    const of = item.records.filter(Boolean).flatMap((record) =>
      [record.error, record.stop, ...record.references.flatMap((found) => [found.caption, found.source, found.license, found.author])]);
    words.set(item, [item.prompt, item.item, item.class, item.class_name, item.category, ...of].filter(Boolean).join("\n").toLowerCase());
  }
  return words.get(item);
}

function hasOutcome(record, outcome) {
  if (outcome === "missing") return record === null;
  if (record === null) return false;
  if (outcome === "undetermined") return record.undetermined;
  if (outcome === "unscored") return record.picture !== null && record.scores.some((score) => score === null || score.value === null);
  return record.outcome === outcome;
}

const shownSystems = () => (chosen.system === "" ? data.systems.map((_, at) => at) : [Number(chosen.system)]);

function filtered() {
  const systems = shownSystems();
  const query = chosen.query.trim().toLowerCase();
  return data.items.filter((item) =>
    (chosen.dataset === "" || item.dataset === Number(chosen.dataset)) &&
    (chosen.class === "" || className(item) === chosen.class) &&
    (chosen.outcome === "" || systems.some((system) => hasOutcome(item.records[system], chosen.outcome))) &&
    (query === "" || searched(item).includes(query)));
}

function mean(numbers) {
  const known = numbers.filter((number) => number !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0) / known.length;
}

function gain(item, metric) {
  const sign = data.metrics[metric].higher_is_better ? 1 : -1;
  const gains = shownSystems().map((system) => {
    const base = data.systems.findIndex((other) => other.name === data.systems[system].base);
    const pair = [value(item.records[system], metric), base < 0 ? null : value(item.records[base], metric)];
    return pair.includes(null) ? null : sign * (pair[0] - pair[1]);
  }).filter((found) => found !== null);
  return gains.length === 0 ? null : Math.max(...gains);
}

function ordered(items) {
  if (chosen.order === "") return items;
  const [kind, at] = chosen.order.split(" ");
  const metric = Number(at);
  const better = data.metrics[metric].higher_is_better ? 1 : -1;
  const by = {
    best: (item) => [mean(shownSystems().map((system) => value(item.records[system], metric))), better],
    worst: (item) => [mean(shownSystems().map((system) => value(item.records[system], metric))), -better],
    improved: (item) => [gain(item, metric), 1],
  }[kind];
  return items.map((item) => [item, by(item)])
    .sort(([, [a, sign]], [, [b]]) => (a === null || b === null ? (a === null) - (b === null) : sign * (b - a)))
    .map(([item]) => item);
}

// A number with the metric's decimals; one that rounds to 0 has no sign.
const shownNumber = (number, metric) => number.toFixed(metric.decimals).replace(/^-(?=[0.]*$)/, "");

function scores(record, system, item) {
  return el("ul", { class: "scores" }, data.metrics.map((metric, at) => {
    const score = record.scores[at];
    const number = value(record, at);
    const base = data.systems.findIndex((other) => other.name === data.systems[system].base);
    const other = base < 0 ? null : value(item.records[base], at);
    const differs = number !== null && other !== null && shownNumber(number, metric) !== shownNumber(other, metric);
    const better = (number > other) === metric.higher_is_better;
    const shown = number === null
      ? el("span", { class: score ? "bad" : "faint" }, score ? score.problem.split(":")[0] : "not scored")
      : el("span", null, shownNumber(number, metric), differs && el("span", { class: better ? "good" : "bad", title: `base ${shownNumber(other, metric)}` }, better ? " ▲" : " ▼"));
    return el("li", null, el("span", { class: "name" }, said(metric.name)), shown);
  }));
}

function recordFigure(item, system) {
  const record = item.records[system];
  const name = data.systems[system].name;
  const title = el("strong", { dir: "auto" }, name);
  if (record === null) return el("figure", null, el("div", { class: "nothing" }, "not drawn yet"), el("figcaption", null, title));
  const shown = record.picture === null
    ? el("div", { class: "nothing bad" }, OUTCOMES[record.outcome])
    : pictureButton(picture(record.picture), `${name}: ${item.prompt}`);
  return el("figure", null, shown, el("figcaption", null, title,
    record.outcome === "draft" && el("div", { class: "faint" }, OUTCOMES.draft),
    record.error !== null && el("div", { class: "bad" }, brief(record.error, "failed")),
    record.picture !== null && scores(record, system, item),
    el("button", { type: "button", class: "look noprint", click: () => look(item, system), "aria-label": cut(`Details of ${name}: ${item.prompt}`) }, "Details")));
}

// Everything that is known of one picture.
function look(item, system) {
  const record = item.records[system];
  const judged = data.metrics.map((metric, at) => {
    const score = record.scores[at];
    return [metric.name, score === null ? "not scored" : score.value === null ? score.problem : shownNumber(score.value, metric)];
  });
  const asked = record.scores.flatMap((score) => (score ? whole(score.exchanges) : []));
  const trace = whole(record.trace);
  openDialog(`${data.systems[system].name}: ${item.prompt}`,
    el("div", { class: "pictures" },
      record.draft !== null && figure(picture(record.draft), record.draft === record.picture ? "Draft, which is the result" : "Draft"),
      record.references.map((found) => figure(picture(found.picture), "Reference", ["for: ", said(found.caption)],
        found.score === null ? null : `score ${found.score.toFixed(3)}`, credit(found))),
      record.picture !== null && record.draft !== record.picture && figure(picture(record.picture), "Result")),
    facts([["data set", data.datasets[item.dataset].name], ["item", item.item], ["class", className(item)], ["category", item.category],
      ["seed", item.seed], ["outcome", OUTCOMES[record.outcome]], ["it stopped because", record.stop], ["error", record.error],
      ["file", record.file], ["time", seconds(record.elapsed)], ...record.usage]),
    el("h4", null, "Scores"), facts(judged),
    asked.length > 0 && [el("h4", null, "The judge's words"), asked.map(exchange)],
    trace && [el("h4", null, "What happened"), el("p", null, said(trace.end)), timeLine(trace, picture), usageTable(trace),
      el("details", null, el("summary", null, "Parts and settings"), facts([...trace.parts, ...trace.settings]))],
    record.trace_file && el("p", null, "Its trace is a file: ", el("a", { href: record.trace_file }, record.trace_file)));
}

function article(item) {
  const about = [data.datasets[item.dataset].name, className(item), item.category, `seed ${item.seed}`].filter(Boolean);
  return el("article", null, el("h3", { dir: "auto" }, brief(item.prompt, "no prompt")),
    el("div", { class: "faint small" }, about.map((one, at) => [at ? " · " : "", said(one)])),
    el("div", { class: "row" }, shownSystems().map((system) => recordFigure(item, system))));
}

// Shows what is chosen, from `page` on; on paper all of it, up to a number that browsers can set.
const PRINTED = 400;
function show(page, most = PAGE) {
  const items = ordered(filtered());
  const pages = Math.max(1, Math.ceil(items.length / PAGE));
  chosen.page = Math.min(Math.max(page, 0), pages - 1);
  const from = most === PAGE ? chosen.page * PAGE : 0;
  const turn = (label, to, enabled) => el("button", { type: "button", disabled: !enabled, click: () => { show(to); document.getElementById("items").scrollIntoView(); } }, label);
  const found = document.getElementById("found");
  found.replaceChildren();
  append(found, [
    el("span", { role: "status" }, items.length === 0 ? "Nothing fits what is chosen." : `${from + 1} to ${Math.min(from + most, items.length)} of ${items.length}`),
    pages > 1 && el("span", { class: "pages noprint" }, turn("Previous", chosen.page - 1, chosen.page > 0), `page ${chosen.page + 1} of ${pages}`, turn("Next", chosen.page + 1, chosen.page + 1 < pages)),
  ]);
  document.getElementById("list").replaceChildren(...items.slice(from, from + most).map(article));
}

window.addEventListener("beforeprint", () => {
  const page = chosen.page;
  show(page, PRINTED);
  chosen.page = page;
  for (const image of document.querySelectorAll("img")) image.loading = "eager";
});
window.addEventListener("afterprint", () => show(chosen.page));

function choice(label, name, options) {
  return el("label", null, label, el("select", { id: `choose-${name}`, change: (event) => { chosen[name] = event.target.value; show(0); } },
    options.map(([key, shown]) => el("option", { value: key }, shown))));
}

function itemsSection() {
  const classes = [...new Set(data.items.map(className))].sort((a, b) => a.localeCompare(b));
  const orders = data.metrics.flatMap((metric, at) => [
    [`best ${at}`, `${metric.name}: best first`], [`worst ${at}`, `${metric.name}: worst first`], [`improved ${at}`, `${metric.name}: most improved first`]]);
  let waiting = 0;
  const search = (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { chosen.query = event.target.value; show(0); }, 150);
  };
  return [
    el("h2", { id: "items" }, "Pictures"),
    el("div", { class: "filters noprint", role: "search", "aria-label": "Pictures" },
      el("label", { class: "search" }, "Search", el("input", { type: "search", id: "search", input: search, placeholder: "prompt, class, source, license, error" })),
      data.datasets.length > 1 && choice("Data set", "dataset", [["", "all"], ...data.datasets.map((set, at) => [at, set.name])]),
      choice("System", "system", [["", "all"], ...data.systems.map((system, at) => [at, system.name])]),
      choice("Class", "class", [["", "all"], ...classes.map((name) => [name, name])]),
      choice("Outcome", "outcome", [["", "any"], ...Object.entries(OUTCOMES)]),
      choice("Order", "order", [["", "of the data set"], ...orders])),
    el("div", { class: "found", id: "found" }),
    el("div", { id: "list" }),
  ];
}

append(document.getElementById("main"), [overview(), itemsSection(), about()]);
show(0);
