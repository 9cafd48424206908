// The trace of one request to a time line.
"use strict";

function exchange(asked) {
  const spent = [asked.model, `temperature ${asked.temperature}`, seconds(asked.elapsed), asked.usage].filter(Boolean).join(", ");
  const message = (who, text, problem) =>
    el("div", { class: "said" }, el("span", { class: problem ? "who bad" : "who" }, who), said(text));
  return el("details", null,
    el("summary", null, el("strong", null, asked.purpose), " ",
      asked.reply !== null ? said(cut(asked.reply))
        : el("span", { class: "bad" }, asked.problem || "no answer")),
    el("p", { class: "faint small" }, spent),
    asked.messages.map((sent) => message(sent.role + (sent.images ? `, with ${sent.images} picture${sent.images > 1 ? "s" : ""}` : ""), sent.text)),
    asked.reply !== null && message("answer", asked.reply),
    asked.problem && message("problem", asked.problem, true));
}

function hit(found, picture) {
  const scores = found.found_by.map((by) => `${by.retriever}: ${by.score === null ? "no score" : by.score.toFixed(3)}, place ${by.rank + 1}`);
  return el("div", { class: found.refused ? "hit refused" : "hit" },
    picture ? el("div", { class: "pictures" }, figure(picture, found.caption))
      : !found.refused && el("div", { class: "faint small" }, "Its picture is not kept."),
    el("div", null, el("strong", null, found.score === null ? "no score" : found.score.toFixed(3)), " ",
      found.refused ? [el("span", { class: "bad" }, "not used: "), said(found.refused)] : el("span", { class: "good" }, "used")),
    el("div", { class: "small" }, "for: ", said(found.caption)),
    el("div", { class: "small faint" }, credit(found), el("div", null, "found by ", said(found.retriever), ` at place ${found.rank + 1}`),
      scores.map((score) => el("div", null, score)), found.note && el("div", null, said(found.note))));
}

function imageFacts(image) {
  return [
    image.warnings.map((warning) => el("p", { class: "warning" }, "Warning: ", said(warning))),
    facts([
      ["prompt sent", image.prompt], ["negative prompt", image.negative_prompt], ["seed", image.seed], ["size", image.size],
      ["conditioning", image.conditioning], ["steps", image.steps], ["guidance", image.guidance_scale], ["note", image.note], ["used", image.usage],
    ]),
  ];
}

// `pictures` gives the picture of an image or a reference by its key.
function stageItem(stage, longest, pictures) {
  const judged = { match: "good", missing: "bad", undetermined: "faint" };
  return el("li", { class: stage.failed ? "failed" : null },
    el("h3", null, stage.stage, el("span", { class: "faint" }, `, round ${stage.round}, ${seconds(stage.elapsed)}`)),
    el("div", { class: "share", "aria-hidden": "true" }, bar(longest > 0 ? stage.elapsed / longest : 0)),
    stage.failed && el("p", { class: "bad" }, "It ended without a result."),
    stage.verdict && el("p", { class: judged[stage.verdict] }, said(stage.text)),
    !stage.verdict && stage.text && el("p", null, said(stage.text)),
    stage.reason && el("p", null, "Reason: ", said(stage.reason)),
    stage.captions.length > 0 && el("ul", null, stage.captions.map((caption) =>
      el("li", null, said(caption.text), caption.concept !== caption.text && el("span", { class: "faint" }, " for ", said(caption.concept))))),
    stage.edits.length > 0 && el("ol", null, stage.edits.map((edit) => el("li", null, said(edit)))),
    stage.picture !== null && pictures(stage.picture) &&
      el("div", { class: "pictures" }, figure(pictures(stage.picture), `${stage.stage}, round ${stage.round}`)),
    stage.image && imageFacts(stage.image),
    hits(stage.hits, pictures),
    stage.exchanges.map(exchange));
}

function bar(share) {
  const filled = el("div");
  filled.style.width = `${Math.round(share * 100)}%`;
  return filled;
}

// References that are used and those that are refused stand open; what only came after is folded.
function hits(all, pictures) {
  const near = all.filter((found) => !found.surplus);
  const far = all.filter((found) => found.surplus);
  const show = (found) => hit(found, found.picture === null ? null : pictures(found.picture));
  return [near.map(show), far.length > 0 && el("details", null,
    el("summary", null, `${far.length} more that came after`), far.map(show))];
}

function timeLine(trace, pictures) {
  const longest = Math.max(0, ...trace.stages.map((stage) => stage.elapsed));
  return el("ol", { class: "time" }, trace.stages.map((stage) => stageItem(stage, longest, pictures)));
}

function usageTable(trace) {
  if (trace.usage.length === 0) return null;
  const priced = trace.usage.some((row) => row.cost !== null);
  const money = (cost) => (cost === null ? "" : cost.toFixed(4));
  return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "What each part used" }, el("table", null,
    el("thead", null, el("tr", null, ["part", "used", priced && "cost"].filter(Boolean).map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", null, trace.usage.map((row) =>
      el("tr", null, el("td", null, said(row.part)), el("td", null, row.used), priced && el("td", null, money(row.cost)))))));
}
