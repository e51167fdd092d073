// What every part of the page uses: finding and making elements, numbers and names in words.

const TINY = 48;         // pictures of at most so many pixels are enlarged without smoothing
const LARGE = 192;       // pixels of the thumbnail that stands until the original is there, and where there is none
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

// What may wait until the frame that is being made is out.
const afterPaint = (act) => requestAnimationFrame(() => setTimeout(act, 0));

// Makes buttons that show their key, one after the other in a toolbar.
const keyedButtons = (tools) => (key, text, act, name) => {
  const node = button("", act, { className: `act ${name}` });
  node.append(make("span", {}, text), make("kbd", { aria: { hidden: "true" } }, key));
  tools.append(node);
  return node;
};

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

// Dialogs lie upon each other: the topmost has the keys, and says what happens. One that closes is told of it later, so
// that whether it is open counts.
const dialogsOpen = new Map();  // dialog -> what had the focus before
const openOnes = () => [...dialogsOpen.keys()].filter((dialog) => dialog.open);
const topDialog = () => openOnes().at(-1) ?? null;
const fillsWindow = (dialog) => dialog.matches(".queue, .grid");
const isCovered = () => openOnes().some(fillsWindow);

function openDialog(dialog) {
  if (!dialog.open) {
    const before = document.activeElement;
    dialog.showModal();
    dialogsOpen.delete(dialog);
    dialogsOpen.set(dialog, before);
    if (fillsWindow(dialog)) coverPage();
    dialog.addEventListener("close", () => afterClosing(dialog), { once: true });
  }
  dialog.focus();
}

// The page is there again before the dialog is gone: what had the focus gets it back.
function closeDialog(dialog) {
  if (openOnes().every((other) => other === dialog || !fillsWindow(other))) uncoverPage();
  dialog.close();
  afterClosing(dialog);
}

function afterClosing(dialog) {
  if (dialog.open || !dialogsOpen.has(dialog)) return;
  const before = dialogsOpen.get(dialog), complaint = one("#complaint");
  dialogsOpen.delete(dialog);
  if (!isCovered()) uncoverPage();
  if (dialog.contains(complaint)) (topDialog() ?? document.body).append(complaint);
  if (document.activeElement === document.body) before?.focus({ preventScroll: true });
}

// What a dialog covers whole need not be painted behind it. The height stays, so that the page stays where it was.
function coverPage() {
  for (const part of all("body > header, body > main")) {
    if (part.style.contentVisibility) continue;
    part.style.height = `${part.offsetHeight}px`;
    part.style.contentVisibility = "hidden";
  }
}
function uncoverPage() {
  for (const part of all("body > header, body > main")) part.style.height = part.style.contentVisibility = "";
  for (const act of waitingForPage.splice(0)) act();
}
// What draws something on the page waits, and is done once, while the page is covered.
const waitingForPage = [];
const whenSeen = (act) => () => {
  if (!isCovered()) act();
  else if (!waitingForPage.includes(act)) waitingForPage.push(act);
};

// For those who hear the page. What lies behind a dialog is not heard.
function announce(text) {
  const top = topDialog();
  let live = top ? one(".announcements", top) : one("#announcements");
  if (!live && top) {
    live = make("p", { className: "announcements offstage", aria: { live: "polite" } });
    top.append(live);
  }
  if (live) live.textContent = text;
}

// An error that a person can do something about stands at the foot of the page until the next success.
function complain(error) {
  const place = one("#complaint");
  (topDialog() ?? document.body).append(place);
  place.textContent = error.message;
  place.hidden = false;
}
function relieve() {
  one("#complaint").hidden = true;
}
