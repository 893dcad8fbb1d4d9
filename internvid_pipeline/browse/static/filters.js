// The side: what a selection is made of, and what it keeps.

import { latest, later, post } from "./api.js";
import { $, count, el, fill, ratio, showError, words } from "./dom.js";
import { slider } from "./sliders.js";
import { state } from "./state.js";

const TITLES = { languages: "Language of the video", speech_languages: "Language spoken", categories: "Category", licences: "Licence", cut_modes: "How it was cut" };
const MARKS = [["", "are no rules"], ["no_reject", "leave out what is marked reject"], ["only_keep", "only what is marked keep"]];
const sliders = new Map();
let changed = () => {};

export function buildSide(onChange) {
  changed = onChange;
  const where = el("textarea", { rows: 2, maxlength: 2000, "aria-label": "further condition", placeholder: "video_duration_s < 600 and has_audio" });
  where.value = state.wanted.where;
  where.addEventListener("change", () => {
    state.wanted.where = where.value;
    askAll();
  });
  sliders.clear();
  fill(
    $("side"),
    el("section", { id: "counts" }),
    el("section", { id: "sliders" }),
    ...Object.keys(TITLES).filter((name) => state.set.names[name]?.length).map(filter),
    el("details", { class: "filter", open: Boolean(state.wanted.where) }, el("summary", {}, "Condition in SQL"), where, el("p", { class: "soft" }, state.set.columns.join(", "))),
  );
  askAll();
}

function filter(name) {
  const chosen = new Set(state.wanted[name]);
  const list = el("div", { class: "values" });
  for (const { value, clips } of state.set.names[name]) {
    const input = el("input", { type: "checkbox", checked: chosen.has(value) });
    input.addEventListener("change", () => {
      if (input.checked) chosen.add(value);
      else chosen.delete(value);
      state.wanted[name] = [...chosen];
      askAll();
    });
    list.append(el("label", {}, input, value === "" ? el("em", {}, name === "speech_languages" ? "no speech" : "not told") : words(value), el("span", { class: "n" }, count(clips))));
  }
  return el("details", { class: "filter", "data-filter": name, open: chosen.size > 0 }, el("summary", {}, TITLES[name]), list);
}

export function askAll() {
  askHistograms();
  askCounts();
  state.offset = 0;
  changed();
}

const askMoving = later(() => {
  askCounts();
  state.offset = 0;
  changed();
}, 80);

export async function askHistograms() {
  try {
    const found = await latest("histograms", "histograms", state.wanted);
    if (!found) return;
    for (const one of found) {
      if (sliders.has(one.column)) sliders.get(one.column).update(one);
      else {
        const box = slider(one, (isOver) => (isOver ? askAll() : askMoving()));
        sliders.set(one.column, box);
        $("sliders").append(box);
      }
    }
  } catch (error) {
    showError(error);
  }
}

export async function askCounts() {
  try {
    const found = await latest("counts", "counts", state.wanted);
    if (!found) return;
    showError(null);
    const share = found.pool ? ratio(found.kept / found.pool) : "–";
    const steps = found.steps.map((step) => el("li", {}, words(step.rule), el("span", { class: "n" }, count(step.left))));
    const marks = found.marks;
    const quality = `${count(marks.keep)} marked keep, ${count(marks.reject)} reject. The selection keeps ${count(marks.kept)} of them: precision ${ratio(marks.precision)}, recall ${ratio(marks.recall)}.`;
    fill(
      $("counts"),
      el("p", { class: "kept" }, el("strong", { id: "kept-count", "data-count": found.kept }, count(found.kept)), ` of ${count(found.pool)} clips kept, ${share}`),
      steps.length ? el("ol", { class: "steps" }, ...steps) : el("p", { class: "soft" }, "No rule yet: every clip with a caption is kept. Search and marks only choose what is shown."),
      marks.keep + marks.reject ? el("p", { class: "quality", id: "quality" }, quality) : null,
      el("button", { id: "write", onclick: write }, "Write this selection"),
      el("button", { onclick: clear, class: "plain" }, "Clear"),
    );
  } catch (error) {
    showError(error);
  }
}

function clear() {
  Object.assign(state.wanted, { languages: [], speech_languages: [], licences: [], categories: [], cut_modes: [], bounds: {}, top: {}, where: "" });
  buildSide(changed);
}

async function write() {
  const dialog = $("dialog");
  const name = el("input", { id: "selection-name", maxlength: 64, "aria-label": "name of the selection" });
  name.value = "chosen";
  const text = el("pre", { id: "yaml" });
  const problem = el("p", { class: "problem" });
  const save = el("a", { class: "button", download: "selection.yaml" }, "Save as a file");
  const kept = el("p", { id: "written-kept" });
  const search = el("input", { type: "checkbox", id: "with-search" });
  const marks = el("select", { id: "with-marks" }, ...MARKS.map(([value, title]) => el("option", { value }, title)));
  async function refresh() {
    try {
      const found = await post("yaml", { name: name.value, wanted: state.wanted, with_search: search.checked, with_marks: marks.value });
      text.textContent = found.yaml;
      kept.textContent = `It keeps ${count(found.kept)} clips.`;
      save.href = URL.createObjectURL(new Blob([found.yaml], { type: "text/yaml" }));
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
      text.textContent = kept.textContent = "";
    }
  }
  for (const input of [name, search, marks]) input.addEventListener("input", refresh);
  const copy = el("button", { onclick: () => navigator.clipboard.writeText(text.textContent) }, "Copy");
  fill(
    dialog,
    el("h2", {}, "Write this selection"),
    el("p", {}, "Put this into your config beside the other selections, and run the config again: select_clips and write_shards are all that is computed."),
    el("label", {}, "Name ", name),
    state.wanted.search.trim() ? el("label", {}, search, " with the words searched for, as rules") : null,
    el("label", {}, "Marks ", marks), kept, problem, text,
    el("p", {}, copy, save, el("button", { onclick: () => dialog.close(), class: "plain" }, "Close")),
  );
  await refresh();
  dialog.showModal();
}
