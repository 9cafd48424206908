// The page of a single request.
"use strict";

{
  const trace = data.trace;
  const picture = (key) => (key === null ? null : data.pictures[key]);
  const shown = [
    data.draft !== null && figure(picture(data.draft), data.is_draft ? "Draft, which is the result" : "Draft"),
    data.references.map((reference) => figure(picture(reference.picture), "Reference", ["for: ", said(reference.caption)],
      reference.score === null ? null : `score ${reference.score.toFixed(3)}`, credit(reference))),
    data.result !== null && !data.is_draft && figure(picture(data.result), trace.failed ? "Best image before the error" : "Result"),
  ];
  append(document.querySelector("main"), [
    el("h1", { dir: "auto" }, brief(trace.prompt, "no prompt")),
    el("p", null, el("span", { class: trace.failed ? "badge bad" : "badge good" }, trace.failed ? "failed" : "done"), " ",
      said(trace.end), el("span", { class: "faint" }, ` Seed ${trace.seed}, ${seconds(trace.elapsed)}.`)),
    el("div", { class: "pictures" }, shown),
    el("h2", { id: "stages" }, "What happened"),
    timeLine(trace, picture),
    trace.usage.length > 0 && [el("h2", { id: "usage" }, "What it used"), usageTable(trace),
      el("p", null, said(trace.total))],
    el("h2", { id: "parts" }, "Parts"), facts(trace.parts),
    el("h2", { id: "settings" }, "Settings"), facts(trace.settings),
  ]);
}
