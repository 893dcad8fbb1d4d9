// The clips: cards, pages, keys.

import { frame, later, latest, post } from "./api.js";
import { openClip } from "./detail.js";
import { askCounts, askHistograms } from "./filters.js";
import { $, count, el, fill, short, showError, words } from "./dom.js";
import { differing } from "./differ.js";
import { page, remember, state } from "./state.js";

export async function showClips() {
  remember();
  try {
    const found = await latest("clips", "clips", page());
    if (!found || state.tab !== "clips") return;
    bar(found.total);
    const cards = found.clips.map(card);
    $("grid").replaceChildren(...cards);
    if (!cards.length) $("grid").append(el("p", { class: "soft" }, "No clip is like this."));
    pager(found.total);
    if (state.compare && cards.length) await compare(found.clips);
  } catch (error) {
    showError(error);
  }
}

function choice(label, options, value, chosen) {
  const box = el("select", { "aria-label": label }, ...options.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
  box.addEventListener("change", () => {
    chosen(box.value);
    state.offset = 0;
    showClips();
  });
  return box;
}

function bar(total) {
  const orders = [["set", "as in the set"], ["random", "at random"]];
  for (const box of document.querySelectorAll("fieldset.slider")) orders.push([`${box.dataset.column} up`, `${box.dataset.column}, lowest first`], [`${box.dataset.column} down`, `${box.dataset.column}, highest first`]);
  const order = ["set", "random"].includes(state.order) ? state.order : `${state.order} ${state.descending ? "down" : "up"}`;
  if (!orders.some(([key]) => key === order)) orders.push([order, order]);
  const others = state.set.fingerprints.filter((one) => !one.is_current);
  fill(
    $("bar"),
    el("span", { id: "total", "data-count": total }, `${count(total)} clips`),
    choice("which", [["kept", "kept by the rules"], ["left_out", "left out by the rules"], ["all", "all"]], state.show, (value) => (state.show = value)),
    choice("marked", [["", "marked or not"], ["keep", "marked keep"], ["reject", "marked reject"], ["none", "not marked"]], state.wanted.marked, (value) => (state.wanted.marked = value)),
    choice("order", orders, order, (value) => {
      const [column, direction] = value.split(" ");
      state.order = column;
      state.descending = direction === "down";
      if (value === "random") state.seed = Math.floor(Math.random() * 1e6);
    }),
    others.length ? choice("compare", [["", "captions of the config"], ...others.map((one) => [one.fingerprint, `beside ${one.fingerprint}`])], state.compare, (value) => (state.compare = value)) : null,
  );
}

function card(clip) {
  const picture = el("img", { src: frame("clip", clip.number, 3), alt: "", loading: "lazy", draggable: "false" });
  picture.addEventListener("error", () => picture.classList.add("none"));
  const scores = Object.entries(clip).filter(([key, value]) => typeof value === "number" && !["number", "duration_s"].includes(key));
  const box = el(
    "article",
    { tabindex: 0, class: "card", "data-number": clip.number, "data-clip": clip.clip_id, "data-mark": clip.mark, "aria-label": clip.caption },
    el("div", { class: "thumb" }, picture, el("span", { class: "length" }, `${short(clip.duration_s)} s`), el("span", { class: "badge" })),
    el("div", { class: "caption", dir: "auto" }, clip.caption),
    el("div", { class: "scores" }, ...scores.map(([key, value]) => el("span", {}, `${key} ${short(value)}`)), clip.video_language ? words(clip.video_language) : null),
    clip.video_title ? el("div", { class: "title", dir: "auto" }, clip.video_title) : null,
  );
  picture.addEventListener("mousemove", (event) => {
    const place = Math.floor((event.offsetX / picture.clientWidth) * 8);
    const wanted = frame("clip", clip.number, Math.max(0, Math.min(7, place)));
    if (!picture.src.endsWith(wanted)) picture.src = wanted;
  });
  box.addEventListener("click", () => {
    box.focus();
    openClip(clip.number);
  });
  return box;
}

async function compare(clips) {
  const found = await post("captions", { numbers: clips.map((clip) => clip.number) });
  for (const { number, versions } of found) {
    const text = (version) => version?.rows.map((row) => `${row.scale}: ${row.text}`) ?? [];
    const old = versions.find((one) => one.fingerprint === state.compare);
    const now = text(versions.find((one) => one.is_current));
    const place = document.querySelector(`article[data-number="${Number(number)}"] .caption`);
    if (!place) continue;
    const lines = now.map((line, index) => el("div", { class: "pair" }, el("div", { dir: "auto", class: "old" }, text(old)[index] ?? "none"), differing(text(old)[index] ?? "", line)));
    place.replaceChildren(...lines);
    place.classList.add("compared");
  }
}

function pager(total) {
  const step = (by, label) => el("button", { disabled: state.offset + by < 0 || state.offset + by >= total, onclick: () => turn(by) }, label);
  const last = Math.min(total, state.offset + state.limit);
  fill($("pager"), step(-state.limit, "‹ earlier"), total ? `${count(state.offset + 1)}–${count(last)} of ${count(total)}` : "", step(state.limit, "later ›"));
}

export function turn(by) {
  state.offset = Math.max(0, state.offset + by);
  showClips().then(() => $("middle").scrollTo(0, 0));
}

const cards = () => [...document.querySelectorAll("article.card")];
export const focused = () => document.activeElement?.closest?.("article.card") ?? document.querySelector("article.card.open");

export function move(by) {
  const all = cards();
  const from = all.indexOf(focused());
  const to = all[from < 0 ? 0 : Math.max(0, Math.min(all.length - 1, from + by))];
  to?.focus();
  to?.scrollIntoView({ block: "nearest" });
  return to;
}

export function rowLength() {
  const all = cards();
  return Math.max(1, all.filter((one) => one.offsetTop === all[0].offsetTop).length);
}

// Marks are shown at once and stored one after the other, in the order of the keys: whoever is quick loses none.
let storing = Promise.resolve();

function paint(number, verdict) {
  const box = document.querySelector(`article.card[data-number="${Number(number)}"]`);
  if (box) box.dataset.mark = verdict;
  const detail = $("detail");
  if (detail.dataset.number === String(number)) detail.dataset.mark = verdict;
}

export function mark(verdict) {
  const box = focused();
  if (!box) return;
  const number = Number(box.dataset.number), before = box.dataset.mark;
  paint(number, verdict);
  if ($("detail").hidden) move(1);
  storing = storing.then(async () => {
    try {
      await post("mark", { number, verdict });
      judge();
    } catch (error) {
      paint(number, before);
      showError(error);
    }
  });
}

const judge = later(() => {
  askCounts();
  askHistograms();
}, 150);
