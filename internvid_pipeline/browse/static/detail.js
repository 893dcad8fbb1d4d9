// One clip, or one lost item, with everything known of it.

import { frame, get, media } from "./api.js";
import { differing } from "./differ.js";
import { $, el, fill, short, showError, words } from "./dom.js";
import { mark } from "./grid.js";

let asked = 0;

export function closeDetail() {
  asked++;
  $("detail").hidden = true;
  $("detail").replaceChildren();
  for (const box of document.querySelectorAll(".card.open")) box.classList.remove("open");
}

export async function openClip(number) {
  const own = ++asked;
  try {
    const found = await get(`clip?n=${Number(number)}`);
    if (own === asked) show("clip", number, found, [markButtons(), ...clipSections(found)]);
  } catch (error) {
    showError(error);
  }
}

export async function openLost(number) {
  const own = ++asked;
  try {
    const found = await get(`lost?n=${Number(number)}`);
    if (own === asked) show("lost", number, found, [losses(found.losses), rows("Video", found.video)]);
  } catch (error) {
    showError(error);
  }
}

function show(kind, number, found, sections) {
  const detail = $("detail");
  for (const box of document.querySelectorAll(".card")) box.classList.toggle("open", box.dataset.number === String(number));
  detail.dataset.number = number;
  detail.dataset.mark = found.mark ?? "none";
  fill(detail, el("button", { class: "close", title: "close (Esc)", onclick: closeDetail }, "×"), player(kind, number, found), strip(kind, number, found), ...sections);
  detail.hidden = false;
  detail.scrollTo(0, 0);
}

function player(kind, number, found) {
  if (!found.plays) return el("p", { class: "soft" }, found.num_frames ? "Its file lies outside the data set; these frames of it were kept." : "Nothing of it was kept to look at.");
  const span = found.start_s === null || found.start_s === undefined ? "" : `#t=${found.start_s},${found.end_s}`;
  const video = el("video", { id: "player", src: media(kind, number) + span, controls: true, autoplay: true, muted: true, playsinline: true, preload: "metadata" });
  video.muted = true;
  const problem = el("p", { class: "problem", hidden: true }, "This browser cannot play it.");
  video.addEventListener("error", () => (problem.hidden = false));
  return el("div", {}, video, problem);
}

function strip(kind, number, found) {
  const places = Array.from({ length: Math.min(found.num_frames, 16) }, (_, place) => place);
  return el("div", { class: "strip" }, ...places.map((place) => el("img", { src: frame(kind, number, place), alt: `frame ${place + 1}`, loading: "lazy" })));
}

function markButtons() {
  const button = (verdict, label) => el("button", { "data-verdict": verdict, onclick: () => mark(verdict) }, label);
  return el("p", { class: "marks" }, button("keep", "Keep (k)"), button("reject", "Reject (r)"), button("none", "No mark (u)"));
}

function clipSections(found) {
  return [captions(found.captions), speech(found.speech), scores(found.scores), losses(found.losses), selections(found.selections), rows("Clip", found.clip), rows("Video", found.video)];
}

function versionHead(version) {
  const changes = version.changes.length ? el("ul", { class: "changes" }, ...version.changes.map((line) => el("li", {}, words(line)))) : null;
  return el("th", {}, version.is_current ? "the config's " : "older or other ", el("code", {}, version.fingerprint), version.error ? el("p", { class: "problem" }, version.error) : changes);
}

function captions(versions) {
  const scales = [...new Set(versions.flatMap((version) => version.rows.map((row) => row.scale)))];
  if (!scales.length) return el("section", {}, el("h2", {}, "Captions"), el("p", { class: "soft" }, "None."));
  const text = (version, scale) => version.rows.find((row) => row.scale === scale);
  const now = versions.find((version) => version.is_current);
  const cell = (version, scale) => {
    const row = text(version, scale);
    if (!row) return el("td", { class: "soft" }, "none");
    const older = versions.find((other) => !other.is_current && text(other, scale));
    const body = version === now && older ? differing(text(older, scale).text, row.text) : el("div", { dir: "auto" }, row.text);
    const made = [row.language, row.model, row.model_commit, row.is_stand_in ? "stand-in" : null, row.prompt ? `prompt: ${row.prompt}` : null].filter(Boolean).join(" · ");
    return el("td", {}, body, el("div", { class: "soft small", dir: "auto" }, made));
  };
  const head = versions.length > 1 ? el("tr", {}, el("th"), ...versions.map(versionHead)) : null;
  return el("section", { id: "captions" }, el("h2", {}, versions.length > 1 ? "Captions, side by side" : "Captions"),
    el("table", { class: "versions" }, head, ...scales.map((scale) => el("tr", {}, el("th", {}, scale), ...versions.map((version) => cell(version, scale))))));
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

function speech(found) {
  if (!found.length) return null;
  const lines = found.flatMap((row) => {
    const chosen = (row.transcripts ?? []).find((one) => one.source === row.source && one.track === row.track);
    const utterances = chosen?.utterances ?? [{ start_s: row.start_s, text: row.text, language: row.language }];
    const seek = (start) => () => {
      const video = $("player");
      if (video) video.currentTime = start;
    };
    return [
      el("p", { class: "soft small" }, [row.language, row.source, row.track, row.is_stand_in ? "stand-in" : null].filter(Boolean).join(" · ")),
      ...utterances.map((one) => el("p", { class: "utterance" }, el("button", { class: "plain", onclick: seek(one.start_s) }, clock(one.start_s)), words(one.text))),
      row.translation ? el("p", {}, el("em", {}, "in English: "), words(row.translation)) : null,
    ];
  });
  return el("section", { id: "speech" }, el("h2", {}, "Speech"), ...lines);
}

function scores(versions) {
  const all = versions.flatMap((version) => version.rows.map((row) => ({ ...row, version })));
  if (!all.length) return null;
  const line = (row) => el("tr", {}, el("th", {}, row.scorer), el("td", { class: "n" }, short(row.value)),
    el("td", { class: "soft small" }, [row.caption_scale, `${row.num_frames} frames, ${row.reduced}`, row.model, row.model_commit, row.is_stand_in ? "stand-in" : null].filter(Boolean).join(" · ")),
    versions.length > 1 ? el("td", { class: "small" }, row.version.is_current ? "" : "other ", el("code", {}, row.version.fingerprint)) : null);
  return el("section", {}, el("h2", {}, "Scores"), el("table", {}, ...all.map(line)));
}

function losses(found) {
  if (!found.length) return null;
  return el("section", { class: "lost" }, el("h2", {}, "Left out"), ...found.map((row) => el("div", {},
    el("p", {}, el("strong", {}, `${row.stage}: ${row.kind}, `), words(row.reason ?? row.error_class), row.part_of ? " (a part of its input)" : ""),
    el("p", { dir: "auto" }, row.message), row.detail ? el("pre", { class: "small" }, row.detail) : null)));
}

function selections(found) {
  return found.length ? el("section", {}, el("h2", {}, "In the selections"), el("p", {}, found.map((row) => row.selection).join(", "))) : null;
}

function rows(title, row) {
  const told = Object.entries(row).filter(([, value]) => value !== null && value !== "" && value !== "{}" && !(Array.isArray(value) && !value.length));
  if (!told.length) return null;
  const text = (value) => (typeof value === "object" ? JSON.stringify(value) : short(value));
  return el("details", { class: "rows" }, el("summary", {}, title), el("table", {}, ...told.map(([key, value]) => el("tr", {}, el("th", {}, key), el("td", {}, words(text(value)))))));
}
