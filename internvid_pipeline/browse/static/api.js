// Questions to the server. Addresses are relative: the token stands in front of all of them.

async function answer(response) {
  let data;
  try {
    data = await response.json();
  } catch {
    throw new Error(`the server answered ${response.status}; is it still running?`);
  }
  if (!response.ok) throw new Error(data.error ?? `the server answered ${response.status}`);
  return data;
}

export async function get(path) {
  return answer(await fetch(`api/${path}`));
}

export async function post(path, body) {
  const response = await fetch(`api/${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return answer(response);
}

// The newest question of a kind wins: an answer that was overtaken is thrown away.
const newest = new Map();
export async function latest(kind, path, body) {
  const own = (newest.get(kind) ?? 0) + 1;
  newest.set(kind, own);
  const data = await post(path, body);
  return newest.get(kind) === own ? data : null;
}

export const frame = (kind, number, place) => `frame/${kind}?n=${number}&i=${place}`;
export const media = (kind, number) => `media/${kind}?n=${number}`;

export function later(work, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait);
  };
}
