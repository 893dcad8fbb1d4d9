// Two captions of one clip: the words of the newer that the older does not have, marked.

import { el } from "./dom.js";

const MOST_WORDS = 400;

export function differing(old, now) {
  const a = old.split(/\s+/).filter(Boolean).slice(0, MOST_WORDS), b = now.split(/\s+/).filter(Boolean).slice(0, MOST_WORDS);
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  }
  const parts = [];
  for (let i = 0, j = 0; j < b.length; j++) {
    while (i < a.length && a[i] !== b[j] && lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    const isSame = i < a.length && a[i] === b[j];
    parts.push(isSame ? b[j] : el("mark", {}, b[j]), " ");
    if (isSame) i++;
  }
  return el("div", { dir: "auto", class: "new" }, ...parts);
}
