"use strict";
// The study in #study, shown to one participant, whose answers stay in this browser until they are exported.
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const $ = (id) => document.getElementById(id);
  const comparative = study.kind === "comparative";
  const place = `imagerag-study/${study.study}/${study.version}`;

  // --- What is kept -------------------------------------------------------------------------------
  const kept = {
    read(key) { try { return localStorage.getItem(key); } catch { return null; } },
    write(key, value) {
      try { localStorage.setItem(key, value); } catch {
        notice("This browser does not keep your answers. Do not close or reload this page before you have downloaded them.");
      }
    },
    remove(key) { try { localStorage.removeItem(key); } catch { /* Nothing is kept. */ } },
  };
  function notice(text) { $("notice").textContent = text; $("notice").hidden = false; }

  const address = new URLSearchParams(location.search);
  const named = address.get("participant") || "";
  const asked = address.get("list");
  // A link that is wrong must not make two participants one, nor show somebody another list than was meant.
  function mistake() {
    if (!/^[A-Za-z0-9_.-]{0,64}$/.test(named)) return `its participant must be up to 64 letters, digits, "-", "_" or ".", and is "${named}"`;
    if (asked !== null && !(/^[0-9]{1,9}$/.test(asked) && Number(asked) - 1 in study.lists)) return `its list must be a number from 1 to ${study.lists.length}, and is "${asked}"`;
    return null;
  }
  if (mistake()) return notice(`This link cannot be used: ${mistake()}. Please tell whoever gave it to you.`);
  const random = () => "p" + Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
  const participant = named || kept.read(place) || random();
  if (!named) kept.write(place, participant);

  // A number is the participant's list; any other name gives one by its hash.
  function listOf(name) {
    if (asked !== null) return Number(asked) - 1;
    if (/^[0-9]{1,9}$/.test(name) && Number(name) >= 1) return (Number(name) - 1) % study.lists.length;
    let hash = 2166136261; // FNV-1a
    for (const c of name) hash = Math.imul(hash ^ c.codePointAt(0), 16777619) >>> 0;
    return hash % study.lists.length;
  }

  const here = `${place}/${participant}`;
  // The state that a text has, or null where it is damaged: then the participant begins again.
  function stateOf(text) {
    let state = null;
    try { state = JSON.parse(text); } catch { return null; }
    const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
    const isTime = (value) => value === null || value === undefined || typeof value === "string";
    if (!isObject(state) || !isObject(state.answers) || !Number.isInteger(state.list) || !(state.list in study.lists)) return null;
    if (!Number.isInteger(state.at) || state.at < -1 || state.at > study.lists[state.list].length) return null;
    if (![state.started, state.finished].every(isTime)) return null;
    const isAnswer = (one) => isObject(one) && ["item", "question", "side", "chosen"].every((field) => typeof one[field] === "string");
    return Object.values(state.answers).every(isAnswer) ? state : null;
  }
  const state = stateOf(kept.read(here)) || { list: listOf(participant), at: -1, started: null, finished: null, answers: {} };
  const list = study.lists[state.list];
  // Another window of the same participant: its answers count here too.
  window.addEventListener("storage", (event) => {
    const other = event.key === here ? stateOf(event.newValue) : null;
    if (!other || other.list !== state.list) return;
    state.answers = other.answers;
    show();
  });
  const save = () => kept.write(here, JSON.stringify(state));

  // --- One item -----------------------------------------------------------------------------------
  const file = (name) => `pictures/${name}.jpg`;
  const key = (screen, question) => JSON.stringify([screen.item, question]);
  let shown = null; // { screen, sides, since, time }; since and time are null until the images are there

  function sidesOf(entry) {
    const screen = study.screens[entry.screen];
    if (!comparative) return [{ chosen: "yes", side: "left", label: "Yes" }, { chosen: "no", side: "right", label: "No" }];
    const [left, right] = entry.swapped ? [...screen.pictures].reverse() : screen.pictures;
    return [{ chosen: left, side: "left", label: "A" }, { chosen: right, side: "right", label: "B" }];
  }

  function figure(id, name, label) {
    const image = $(id).querySelector("img");
    $(id).hidden = name === null;
    if (name === null) { image.removeAttribute("src"); return []; }
    image.src = file(name);
    if (label !== null) {
      image.alt = label;
      $(id).querySelector("button").setAttribute("aria-label", `Enlarge ${label.toLowerCase().replace(/ ([ab])$/, (_, c) => ` ${c.toUpperCase()}`)}`);
      $(id).querySelector("figcaption").textContent = comparative ? label.slice(-1) : "Image to judge";
    }
    return [image];
  }

  function showItem() {
    const entry = list[state.at];
    const screen = study.screens[entry.screen];
    const sides = sidesOf(entry);
    $("ask").textContent = screen.told ? "" : comparative
      ? "For each question choose the better image out of A and B, given this text:"
      : "The second image was made from this text:";
    $("prompt").className = screen.prompt.length > 100 ? "long" : "";
    $("prompt").textContent = screen.told ? "This page checks your attention" : screen.prompt;
    $("told").hidden = !screen.told;
    if (screen.told) {
      const told = sides.find((side) => side.chosen === screen.told);
      $("told").textContent = `Choose ${told.label} for every question on this page, whatever the pictures show.`;
    }
    const real = screen.reference;
    const images = figure("real", real ? real.picture : null, null);
    $("concept").textContent = real && screen.concept ? screen.concept : "";
    $("credit").textContent = real && real.credit ? real.credit : "";
    images.push(...figure("left", comparative ? sides[0].chosen : screen.pictures[0], comparative ? "Picture A" : "Picture to judge"));
    images.push(...figure("right", comparative ? sides[1].chosen : null, comparative ? "Picture B" : null));
    $("pictures").className = comparative ? (real ? "three" : "two") : (real ? "pair" : "one");
    shown = { screen, sides, since: null, time: null };
    showQuestions();
    wait(images);
  }

  // Nobody answers without having seen the images.
  function wait(images) {
    const now = shown;
    $("missing").hidden = true;
    $("loading").textContent = "Loading the pictures …";
    Promise.all(images.map((image) => image.decode())).then(() => {
      if (now !== shown) return;
      $("loading").textContent = "";
      now.since = performance.now();
      now.time = new Date().toISOString();
      for (const set of $("questions").children) set.disabled = false;
    }).catch(() => {
      if (now !== shown) return;
      $("loading").textContent = "A picture could not be loaded, so that there is nothing to judge yet. Check your connection and try again. Your answers are kept.";
      $("missing").hidden = false;
      $("retry").onclick = () => {
        for (const image of images) image.src = image.getAttribute("src");
        wait(images);
      };
    });
  }

  function showQuestions() {
    const form = $("questions");
    form.className = comparative ? "" : "long";
    form.replaceChildren(...study.questions.map((question, number) => {
      const set = document.createElement("fieldset");
      set.disabled = shown.since === null;
      const legend = document.createElement("legend");
      legend.textContent = question;
      set.append(legend);
      shown.sides.forEach((side, i) => {
        const label = document.createElement("label");
        const input = document.createElement("input");
        const text = document.createElement("span");
        const arrow = document.createElement("i");
        label.className = "choice";
        input.type = "radio";
        input.name = `q${number}`;
        input.value = side.side;
        input.checked = (state.answers[key(shown.screen, question)] || {}).side === side.side;
        input.addEventListener("change", () => answer(number, i));
        arrow.textContent = i ? "→" : "←";
        arrow.setAttribute("aria-hidden", "true");
        text.append(...(i ? [side.label, arrow] : [arrow, side.label]));
        label.append(input, text);
        set.append(label);
      });
      return set;
    }));
    showProgress();
  }

  const answered = (screen) => study.questions.every((question) => key(screen, question) in state.answers);
  const open = () => study.questions.findIndex((question) => !(key(shown.screen, question) in state.answers));

  function answer(number, i) {
    if (shown.since === null) return;
    const question = study.questions[number];
    const { chosen, side } = shown.sides[i];
    state.answers[key(shown.screen, question)] = {
      item: shown.screen.item, question, side, chosen,
      shown: shown.time, ms: Math.round(performance.now() - shown.since),
      width: window.innerWidth,
    };
    state.finished = null;
    save();
    showProgress();
  }

  function showProgress() {
    const done = list.filter((entry) => answered(study.screens[entry.screen])).length;
    $("count").textContent = `${state.at + 1} of ${list.length}`;
    const progress = document.querySelector("progress");
    progress.max = list.length;
    progress.value = done;
    $("next").disabled = !answered(shown.screen);
    $("next").textContent = state.at + 1 === list.length ? "Finish" : "Next";
    const active = open();
    [...$("questions").children].forEach((set, i) => set.classList.toggle("active", i === active && study.questions.length > 1));
  }

  // --- Keys ---------------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if ($("item").hidden || $("large").open || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // A key that is held answers once, and turns one page.
    if (event.repeat) {
      if (["ArrowLeft", "ArrowRight", "Enter"].includes(event.key)) event.preventDefault();
      return;
    }
    const isButton = document.activeElement instanceof HTMLButtonElement;
    if (event.key === "Enter" && !isButton && !$("next").disabled) {
      event.preventDefault();
      go(state.at + 1);
    }
    const i = ["ArrowLeft", "ArrowRight"].indexOf(event.key);
    if (i < 0) return;
    event.preventDefault();
    if (shown.since === null) return;
    const sets = [...$("questions").children];
    const focused = sets.findIndex((set) => set.contains(document.activeElement));
    const number = focused >= 0 ? focused : open();
    if (number < 0) return;
    sets[number].querySelectorAll("input")[i].checked = true;
    answer(number, i);
    const next = open();
    if (next >= 0) sets[next].querySelector("input").focus(); else $("next").focus();
  });

  // --- Export -------------------------------------------------------------------------------------
  const fields = ["item", "question", "side", "chosen", "shown", "ms", "width"];
  function answers() {
    const given = [];
    for (const entry of list) for (const question of study.questions) {
      const one = state.answers[key(study.screens[entry.screen], question)];
      if (one) given.push(one);
    }
    return given;
  }
  function record() {
    const { study: id, version } = study;
    return { study: id, version, participant, list: state.list + 1, started: state.started, finished: state.finished, answers: answers() };
  }
  function table() {
    const cell = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
    };
    const rows = answers().map((one) => [study.study, study.version, participant, state.list + 1, ...fields.map((field) => one[field])]);
    return [["study", "version", "participant", "list", ...fields], ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  function code(text) {
    const bytes = new TextEncoder().encode(text);
    let binary = "";
    for (const byte of bytes) binary += String.fromCharCode(byte);
    return `imagerag-study:${btoa(binary)}.`;
  }
  function offer(id, text, type, ending) {
    const link = $(id);
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${study.study}-${participant}.${ending}`;
  }

  const SENT = "Your answers were sent. You can close this page.";
  async function send() {
    $("sent").textContent = "Sending your answers …";
    $("send").hidden = true;
    try {
      const reply = await fetch(study.post_to, {
        method: "POST", body: JSON.stringify(record()), headers: { "content-type": "text/plain" },
        credentials: "omit", referrerPolicy: "no-referrer",
      });
      if (!reply.ok) throw new Error(`status ${reply.status}`);
      state.sent = state.finished;
      save();
      $("sent").textContent = SENT;
    } catch (error) {
      $("sent").textContent = `Your answers could not be sent (${error.message}). Try again, or download them below.`;
      $("send").hidden = false;
    }
  }

  function showEnd() {
    const missing = list.filter((entry) => !answered(study.screens[entry.screen])).length;
    const count = missing === 1 ? "1 page is" : `${missing} pages are`;
    $("done").textContent = missing
      ? `${count} not answered yet. You can go back, or hand in what there is.`
      : "All questions are answered." + (study.post_to ? "" : " Please download your answers, and send the file to whoever invited you.");
    if (!missing && !state.finished) { state.finished = new Date().toISOString(); save(); }
    const json = JSON.stringify(record(), null, 1);
    offer("json", json + "\n", "application/json", "json");
    offer("csv", table(), "text/csv", "csv");
    $("code").value = code(JSON.stringify(record()));
    $("copied").textContent = "";
    const isSent = state.finished !== null && state.sent === state.finished;
    $("send").hidden = !study.post_to || isSent;
    $("sent").textContent = isSent ? SENT : "";
    if (study.post_to && !missing && !isSent) send();
  }

  // --- Pages --------------------------------------------------------------------------------------
  function show() {
    const page = state.at < 0 || !state.started ? "welcome" : state.at < list.length ? "item" : "end";
    for (const id of ["welcome", "item", "end"]) $(id).hidden = id !== page;
    $("bar").hidden = page !== "item";
    if (page === "item") showItem();
    if (page === "end") showEnd();
    window.scrollTo(0, 0);
    if (page === "item") $("prompt").focus({ preventScroll: true });
  }
  function go(to) { state.at = to; save(); show(); }

  document.querySelector("#welcome h1").textContent = study.title;
  $("what").textContent = comparative
    ? `You will see ${list.length} pages, each with a text and two images, A and B, that a computer made from it. Where there is a real image beside them, it shows what the text speaks of. For each question choose the better image of the two.`
    : `You will see ${list.length} pages, each with a real image and an image that a computer made. Say whether the second shows what the first does.`;
  for (const text of study.consent.split(/\n\s*\n/)) {
    const paragraph = document.createElement("p");
    paragraph.textContent = text.trim();
    $("consent").append(paragraph);
  }
  $("rule").textContent = study.drop_rule ? `Some pages check your attention. ${study.drop_rule}` : "";
  $("sends").textContent = study.post_to
    ? `When you finish, your answers are sent to ${new URL(study.post_to).host}. Nothing else leaves this browser.`
    : "Nothing is sent anywhere: at the end you download your answers, and pass them on yourself.";
  $("who").textContent = `You are participant ${participant}, with list ${state.list + 1} of ${study.lists.length}.`;
  $("agree").addEventListener("change", () => { $("begin").disabled = !$("agree").checked; });
  $("begin").addEventListener("click", () => { state.started = state.started || new Date().toISOString(); go(0); });
  $("back").addEventListener("click", () => go(state.at - 1));
  $("skip").addEventListener("click", () => go(state.at + 1));
  $("next").addEventListener("click", () => go(state.at + 1));
  $("return").addEventListener("click", () => {
    const open = list.findIndex((entry) => !answered(study.screens[entry.screen]));
    go(open >= 0 ? open : list.length - 1);
  });
  $("send").addEventListener("click", send);
  $("copy").addEventListener("click", async () => {
    $("code").select();
    try { await navigator.clipboard.writeText($("code").value); } catch { document.execCommand("copy"); }
    $("copied").textContent = "Copied.";
  });
  $("again").addEventListener("click", () => {
    if (!confirm("Have the answers been downloaded or sent? Another participant begins with none.")) return;
    for (const key of [place, here]) kept.remove(key);
    location.search = "";
    if (!location.search) location.reload();
  });
  $("questions").addEventListener("submit", (event) => event.preventDefault());
  for (const button of document.querySelectorAll(".picture")) button.addEventListener("click", () => {
    const image = button.querySelector("img");
    const large = $("large").querySelector("img");
    large.src = image.src;
    large.alt = image.alt;
    $("large").showModal();
  });
  $("close").addEventListener("click", () => $("large").close());
  $("large").addEventListener("click", (event) => { if (event.target === $("large")) $("large").close(); });
  show();
})();
