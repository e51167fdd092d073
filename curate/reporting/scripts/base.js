// What every part of the page uses: finding and making elements, numbers and names in words.

const TINY = 48;         // pictures of at most so many pixels are enlarged without smoothing
const UNKNOWN = 255;     // a share, in hundredths, that nothing says
const NOWHERE = 65535;   // the coordinate of what has no place on the map

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

function make(tag, properties = {}, ...children) {
  const { data: marks, aria, ...plain } = properties;
  const node = Object.assign(document.createElement(tag), plain);
  Object.assign(node.dataset, marks || {});
  for (const [name, value] of Object.entries(aria || {})) node.setAttribute(name === "role" ? name : `aria-${name}`, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function button(text, act, properties = {}) {
  const node = make("button", { type: "button", ...properties }, text);
  node.addEventListener("click", act);
  return node;
}

function choose(chosen) {
  for (const other of all("button", chosen.parentNode)) other.setAttribute("aria-pressed", other === chosen);
}

// Characters that turn the order of letters about are written out, wherever a name is shown.
const spelled = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
  (letter) => {
    const code = letter.charCodeAt(0).toString(16);
    return code.length > 2 ? "\\u" + code.padStart(4, "0") : "\\x" + code.padStart(2, "0");
  });
// The end of a path tells more than its beginning.
const shortened = (id, most = 26) => (id.length > most ? "…" + spelled(id.slice(1 - most)) : spelled(id));

// For those who hear the page.
function announce(text) {
  const live = one("#announcements");
  if (live) live.textContent = text;
}
