// What is asked for. `wanted` goes to the server as it is; everything stays in the address behind #, so that a page can be reloaded.

export const state = {
  set: null,
  tab: "clips",
  wanted: { languages: [], speech_languages: [], licences: [], categories: [], cut_modes: [], bounds: {}, top: {}, where: "", search: "", search_in: "anything", marked: "" },
  show: "kept",
  order: "set",
  descending: false,
  offset: 0,
  limit: 60,
  seed: 0,
  compare: "",
  lost: { stage: "", kind: "", name: "" },
};

const KEPT = ["tab", "wanted", "show", "order", "descending", "offset", "compare", "lost", "seed"];

export function remember() {
  const kept = Object.fromEntries(KEPT.map((key) => [key, state[key]]));
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(kept))}`);
}

export function recall() {
  try {
    const kept = JSON.parse(decodeURIComponent(location.hash.slice(1)));
    for (const key of KEPT) {
      if (typeof kept[key] !== typeof state[key]) continue;
      state[key] = typeof state[key] === "object" ? { ...state[key], ...kept[key] } : kept[key];
    }
  } catch {
    // no state, or somebody else's: begin anew
  }
}

export const page = () => ({
  wanted: state.wanted,
  show: state.show,
  order: state.order,
  descending: state.descending,
  offset: state.offset,
  limit: state.limit,
  seed: state.seed,
});
