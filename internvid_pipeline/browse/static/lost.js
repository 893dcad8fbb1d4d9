// What was dropped, and what failed: looked at like the clips.

import { frame, latest } from "./api.js";
import { openLost } from "./detail.js";
import { $, count, el, fill, showError, words } from "./dom.js";
import { remember, state } from "./state.js";

const LIMIT = 60;
let offset = 0;

export async function showLost(from = 0) {
  offset = from;
  remember();
  side();
  try {
    const found = await latest("losses", "losses", { ...state.lost, search: state.wanted.search, offset, limit: LIMIT });
    if (!found || state.tab !== "lost") return;
    $("bar").replaceChildren(el("span", { id: "total", "data-count": found.total }, `${count(found.total)} dropped or failed`));
    $("grid").replaceChildren(...found.items.map(card));
    if (!found.items.length) $("grid").append(el("p", { class: "soft" }, "Nothing is like this."));
    const step = (by, label) => el("button", { disabled: offset + by < 0 || offset + by >= found.total, onclick: () => showLost(offset + by) }, label);
    $("pager").replaceChildren(step(-LIMIT, "‹ earlier"), step(LIMIT, "later ›"));
  } catch (error) {
    showError(error);
  }
}

function side() {
  const chosen = (one) => one.stage === state.lost.stage && one.kind === state.lost.kind && one.name === state.lost.name;
  const choose = (one) => () => {
    state.lost = { stage: one.stage, kind: one.kind, name: one.name };
    showLost();
  };
  const merged = new Map();
  for (const one of state.set.lost) {
    const key = JSON.stringify([one.stage, one.kind, one.name]);
    const sum = merged.get(key) ?? { ...one, count: 0, parts: 0 };
    sum[one.is_part ? "parts" : "count"] += one.count;
    merged.set(key, sum);
  }
  const line = (one) => el("button", { class: `reason ${chosen(one) ? "chosen" : ""}`, "data-name": one.name, onclick: choose(one) },
    el("span", {}, `${one.stage}: ${one.kind}, `, words(one.name)), el("span", { class: "n" }, count(one.count), one.parts ? ` + ${count(one.parts)} parts` : ""));
  const all = { stage: "", kind: "", name: "" };
  fill($("side"), el("h2", {}, "Why"), el("button", { class: `reason ${chosen(all) ? "chosen" : ""}`, onclick: choose(all) }, "everything"), ...[...merged.values()].map(line));
}

function card(item) {
  const picture = el("img", { src: frame("lost", item.id, 3), alt: "", loading: "lazy" });
  picture.addEventListener("error", () => picture.classList.add("none"));
  const box = el("article", { tabindex: 0, class: "card lost", "data-number": item.id, "data-name": item.name, "data-kind": item.kind },
    el("div", { class: "thumb" }, picture),
    el("div", { class: "scores" }, el("span", {}, `${item.stage}: ${item.kind}, `, words(item.name)), item.part_of ? el("span", {}, "part of an input") : null),
    el("div", { class: "caption", dir: "auto" }, item.message),
    el("div", { class: "title" }, words(item.item_id.split("/").pop())));
  box.addEventListener("click", () => {
    box.focus();
    openLost(item.id);
  });
  return box;
}
