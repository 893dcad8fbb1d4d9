// Building the page. Text of strangers only ever becomes a text node: nothing here takes markup.

export const $ = (id) => document.getElementById(id);

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (value === true) node.setAttribute(key, "");
    else node.setAttribute(key, String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

// The children of a node anew; what is not there is left out.
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined && child !== false));
}

export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

// A stranger's text, which may run from right to left whatever stands around it.
export const words = (text, className = "") => el("span", { dir: "auto", class: `words ${className}` }, text ?? "");

export const count = (number) => Number(number).toLocaleString("en");
export const ratio = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);

export function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return count(value);
  return Math.abs(value) >= 100 ? value.toFixed(1) : String(Number(value.toPrecision(3)));
}

export function showError(error) {
  const box = $("error");
  box.hidden = !error;
  box.textContent = error ? error.message : "";
}
