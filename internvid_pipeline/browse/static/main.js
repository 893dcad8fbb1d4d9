// Starting, the two tabs, the search, and keys.

import { get, later } from "./api.js";
import { closeDetail, openClip, openLost } from "./detail.js";
import { $, count, el, showError } from "./dom.js";
import { askAll, buildSide } from "./filters.js";
import { focused, mark, move, rowLength, showClips, turn } from "./grid.js";
import { showLost } from "./lost.js";
import { recall, state } from "./state.js";

const KEYS = [
  ["← → ↑ ↓", "go from clip to clip"], ["Enter", "open it"], ["Space", "play or stop"], ["k", "keep"], ["r", "reject"], ["u", "take the mark back"],
  ["n p", "next and previous page"], ["/", "search"], ["Esc", "close"], ["?", "these keys"],
];

function chooseTab(tab) {
  state.tab = tab;
  closeDetail();
  showError(null);
  $("tab-clips").classList.toggle("chosen", tab === "clips");
  $("tab-lost").classList.toggle("chosen", tab === "lost");
  if (tab === "clips") buildSide(showClips);
  else showLost();
}

function search() {
  state.wanted.search = $("search-text").value;
  state.wanted.search_in = $("search-in").value;
  state.offset = 0;
  if (state.tab === "lost") showLost();
  else askAll();
}

function help() {
  const dialog = $("dialog");
  dialog.replaceChildren(el("h2", {}, "Keys"), el("table", {}, ...KEYS.map(([key, what]) => el("tr", {}, el("th", {}, el("kbd", {}, key)), el("td", {}, what)))), el("button", { onclick: () => dialog.close() }, "Close"));
  dialog.showModal();
}

function step(by) {
  const box = move(by);
  if (box && !$("detail").hidden) open(box);
}

const open = (box) => (state.tab === "lost" ? openLost : openClip)(box.dataset.number);

function togglePlay() {
  const video = $("player");
  if (video) video.paused ? video.play() : video.pause();
  else if (focused()) open(focused());
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open) return;
  if (event.target.closest("input, select, textarea") && event.key !== "Escape") return;
  if (event.target.closest("video") && event.key !== "Escape" && !"kru".includes(event.key)) return;
  const clips = state.tab === "clips";
  const actions = {
    ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => step(rowLength()), ArrowUp: () => step(-rowLength()),
    Enter: () => focused() && !event.target.closest("button, a, summary") && open(focused()),
    " ": () => !event.target.closest("button, a, summary") && togglePlay(),
    k: () => clips && mark("keep"), r: () => clips && mark("reject"), u: () => clips && mark("none"),
    n: () => clips && turn(state.limit), p: () => clips && turn(-state.limit),
    "/": () => $("search-text").focus(), "?": help,
    Escape: () => {
      document.activeElement?.blur?.();
      const was = focused();
      closeDetail();
      was?.focus();
    },
  };
  const action = actions[event.key];
  if (!action) return;
  if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
  else if (!event.target.closest("button, a, summary")) event.preventDefault();
  action();
}

async function start() {
  try {
    state.set = await get("set");
  } catch (error) {
    showError(error);
    return;
  }
  recall();
  const [there, all] = state.set.partitions;
  document.title = `${state.set.name} · internvid browse`;
  $("name").textContent = state.set.name;
  $("name").title = there < all ? `a sample: ${count(state.set.clips)} clips, all of ${count(there)} of ${count(all)} partitions` : `all ${count(state.set.clips)} clips`;
  if (there < all) $("name").append(el("small", {}, ` a sample: ${count(there)} of ${count(all)} partitions`));
  $("search-text").value = state.wanted.search;
  $("search-in").value = state.wanted.search_in;
  if (!state.set.has_speech) $("search-in").querySelector('[value="speech"]').remove();
  $("search-text").addEventListener("input", later(search, 250));
  $("search-in").addEventListener("change", search);
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  $("tab-clips").addEventListener("click", () => chooseTab("clips"));
  $("tab-lost").addEventListener("click", () => chooseTab("lost"));
  $("help").addEventListener("click", help);
  document.addEventListener("keydown", pressed);
  chooseTab(state.tab === "lost" ? "lost" : "clips");
}

start();
