// Data of others to elements of the page: every text becomes a text node, and nothing else.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);

// Characters that move the cursor or turn the direction of the text that follows, as their codes.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/g;
const plain = (text) =>
  String(text).replace(HIDDEN, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");

// An element with attributes; functions listen to events, and null, undefined and false are left out.
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : plain(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : document.createTextNode(plain(child)));
  }
}

// Words of others: in a direction of their own, with their lines.
const said = (text) => el("span", { class: "text", dir: "auto" }, text);

// Words of others where little room is: of long ones the beginning, with a button for the rest.
const LONG = 240;
function brief(text, none) {
  if (text.trim() === "") return el("span", { class: "faint" }, none);
  if (text.length <= LONG) return said(text);
  const words = el("span", { class: "brief" }, said(text));
  const more = el("button", { type: "button", class: "more noprint", "aria-expanded": "false", click: () => {
    const open = words.classList.toggle("open");
    more.setAttribute("aria-expanded", open);
    more.textContent = open ? "less" : "more";
  } }, "more");
  return [words, " ", more];
}

// A text for where there is no button: a label, or a description of a picture.
const cut = (text) => (text.length > LONG ? [...text].slice(0, LONG).join("") + "…" : text);

// A source or origin: a link where it is an address of the web, and else its text.
function link(text) {
  if (text === null || text === undefined) return null;
  let url = null;
  try {
    url = /^https?:\/\//i.test(text) ? new URL(text) : null;
  } catch { /* It is no address. */ }
  if (!url) return said(text);
  return el("a", { href: url.href, rel: "noreferrer noopener", target: "_blank", dir: "auto" }, text);
}

const seconds = (time) =>
  time >= 120 ? `${Math.floor(time / 60)} min ${Math.round(time % 60)} s`
    : time >= 10 ? `${time.toFixed(0)} s`
      : time >= 0.1 ? `${time.toFixed(1)} s` : `${(time * 1000).toFixed(0)} ms`;

const facts = (pairs) =>
  el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [el("dt", null, name), el("dd", null, value instanceof Node ? value : said(value))]));

// One dialog of the page, for whatever is looked at closely.
function openDialog(title, ...content) {
  const close = el("button", { type: "button", click: () => dialog.close() }, "Close");
  const heading = el("h3", { id: "dialog-title", dir: "auto" }, brief(title, "no title"));
  const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, el("div", { class: "bar" }, heading, close), content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

// A picture that opens larger. `picture` has `src`, `width` and `height`.
function pictureButton(picture, alt) {
  if (!picture) return el("div", { class: "nothing" }, "no picture");
  const pixels = Math.max(picture.width, picture.height) <= 128 ? "pixels" : null;
  const image = () => el("img", {
    src: picture.src, alt: cut(alt), class: pixels, width: picture.width, height: picture.height, loading: "lazy", decoding: "async",
  });
  const open = () => openDialog(alt, image());
  return el("button", { type: "button", class: "picture", title: "Look at it closely", click: open }, image());
}

const figure = (picture, title, ...lines) =>
  el("figure", null, pictureButton(picture, title),
    el("figcaption", null, el("strong", { dir: "auto" }, brief(title, "no title")), lines.filter(Boolean).map((line) => el("div", null, line))));

// Author, license and origin of a reference, all or what is known.
const credit = (reference) => [
  el("span", { class: reference.license ? null : "bad" }, "license: ", said(reference.license || "unknown")),
  reference.author && ["author: ", said(reference.author)],
  ["source: ", link(reference.source)],
  reference.origin && ["origin: ", link(reference.origin)],
].filter(Boolean).map((line) => el("div", null, line));

// Paper has no buttons: everything that is folded is printed open.
const unfolded = new Set();
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) {
    unfolded.add(folded);
    folded.open = true;
  }
});
window.addEventListener("afterprint", () => {
  unfolded.forEach((folded) => { folded.open = false; });
  unfolded.clear();
});
