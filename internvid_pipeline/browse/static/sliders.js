// A slider with two ends over a histogram, for every score; below it, once clips are marked, precision and recall of each threshold.

import { el, fill, ratio, short, svg } from "./dom.js";
import { state } from "./state.js";

const WIDTH = 240, HEIGHT = 54, STEPS = 1000;

export function slider(found, changed) {
  const own = state.wanted.bounds[found.column] ?? [null, null];
  const span = found.high - found.low || 1;
  const toStep = (value, fallback) => (value === null || value === undefined ? fallback : Math.round(((value - found.low) / span) * STEPS));
  const box = el("fieldset", { class: "slider", "data-column": found.column }, el("legend", {}, found.column));
  const picture = el("div", { class: "picture" });
  const low = range(toStep(own[0], 0), "lowest kept", found.column);
  const high = range(toStep(own[1], STEPS), "highest kept", found.column);
  const lowText = bound(own[0], found.low, `lowest ${found.column}`);
  const highText = bound(own[1], found.high, `highest ${found.column}`);
  const quality = el("div", { class: "quality" });

  // The ends of the scale are no bounds: a clip without a value passes there.
  const value = (input, end) => (Number(input.value) === end ? null : Number((found.low + (span * Number(input.value)) / STEPS).toPrecision(6)));
  function apply(bounds, isOver) {
    if (bounds[0] === null && bounds[1] === null) delete state.wanted.bounds[found.column];
    else state.wanted.bounds[found.column] = bounds;
    paint();
    changed(isOver);
  }
  function moved(isOver) {
    if (Number(low.value) > Number(high.value)) (document.activeElement === low ? low : high).value = document.activeElement === low ? high.value : low.value;
    const bounds = [value(low, 0), value(high, STEPS)];
    lowText.value = bounds[0] ?? "";
    highText.value = bounds[1] ?? "";
    apply(bounds, isOver);
  }
  function typed() {
    const read = (input) => (input.value.trim() === "" || !Number.isFinite(Number(input.value)) ? null : Number(input.value));
    const bounds = [read(lowText), read(highText)];
    low.value = toStep(bounds[0], 0);
    high.value = toStep(bounds[1], STEPS);
    apply(bounds, true);
  }
  for (const input of [low, high]) {
    input.addEventListener("input", () => moved(false));
    input.addEventListener("change", () => moved(true));
  }
  for (const input of [lowText, highText]) input.addEventListener("change", typed);

  function paint() {
    const bounds = state.wanted.bounds[found.column] ?? [null, null];
    picture.replaceChildren(histogram(found, bounds));
    const near = found.curve.find((point) => bounds[0] === null || point.threshold >= bounds[0]);
    fill(quality, ...(found.curve.length ? judged(near, bounds[0]) : []));
  }
  const top = el("label", { class: "top" }, "top ", share(found.column, changed), " %");
  box.append(picture, el("div", { class: "ends" }, low, high), el("div", { class: "bounds" }, lowText, top, highText), quality);
  box.update = (newer) => {
    Object.assign(found, newer);
    paint();
  };
  paint();
  return box;
}

// Of the marked clips: how good it would be to keep what is not below the lower end.
function judged(point, low) {
  if (!point) return ["no marked clip is kept"];
  const what = low === null ? "no lower bound: " : `from ${short(low)}: `;
  return [what, el("span", { class: "key precision" }, `precision ${ratio(point.precision)}`), ", ", el("span", { class: "key recall" }, `recall ${ratio(point.recall)}`)];
}

function range(step, what, column) {
  const input = el("input", { type: "range", min: 0, max: STEPS, step: 1, "aria-label": `${what} ${column}` });
  input.value = step;
  return input;
}

function bound(value, placeholder, label) {
  const input = el("input", { type: "text", inputmode: "decimal", placeholder: short(placeholder), "aria-label": label, maxlength: 24 });
  input.value = value ?? "";
  return input;
}

function share(column, changed) {
  const input = el("input", { type: "text", inputmode: "decimal", maxlength: 6, "aria-label": `keep the top share by ${column}`, title: "keep this share of what the other rules keep" });
  if (state.wanted.top[column]) input.value = state.wanted.top[column] * 100;
  input.addEventListener("change", () => {
    const percent = Number(input.value);
    if (percent > 0 && percent < 100) state.wanted.top[column] = percent / 100;
    else {
      delete state.wanted.top[column];
      input.value = "";
    }
    changed(true);
  });
  return input;
}

function histogram(found, bounds) {
  const most = Math.max(1, ...found.whole);
  const height = (value) => (value ? Math.max(1, (value / most) * HEIGHT) : 0);
  const width = WIDTH / found.whole.length;
  const step = (found.high - found.low) / found.whole.length;
  const bars = found.whole.flatMap((whole, place) => {
    const middle = found.low + (place + 0.5) * step;
    const isIn = (bounds[0] === null || middle >= bounds[0]) && (bounds[1] === null || middle <= bounds[1]);
    const bar = (value, kind) => svg("rect", { x: place * width, y: HEIGHT - height(value), width: Math.max(0.5, width - 0.8), height: height(value), class: kind });
    return [bar(whole, "whole"), bar(found.left[place], isIn ? "in" : "out")];
  });
  const at = (value) => ((value - found.low) / (found.high - found.low || 1)) * WIDTH;
  const line = (key) => svg("polyline", { class: key, points: found.curve.map((point) => `${at(point.threshold)},${HEIGHT - point[key] * HEIGHT}`).join(" ") });
  const lines = found.curve.length > 1 ? [line("precision"), line("recall")] : [];
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `histogram of ${found.column}` }, ...bars, ...lines);
}
