// Keys of the page and of its dialogs: the topmost dialog has them, and the page where none is open. None acts in a text field.

function keysOf() {
  const scopes = new Map([[null, null]]);  // dialog, or null for the page, of which is told first -> {title, keys, told}
  const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space", Escape: "Esc" };
  const REPEATING = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "PageUp", "PageDown"]);
  const typing = (node) => node.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") && !(node.type === "range" && !/^Arrow|^Page|^Home|^End/.test(pressed));
  let pressed = "";

  document.addEventListener("keydown", (event) => {
    pressed = event.key;
    if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || typing(event.target)) return;
    if (event.target.closest?.("button, summary, a") && (event.key === "Enter" || event.key === " ")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.repeat && !REPEATING.has(key)) return;
    const act = topDialog() === help ? null : scopes.get(topDialog())?.keys.get(key);
    if (!act || act(event) === false) return;
    event.preventDefault();
  });

  const help = one("dialog.help");
  function open() {
    const lists = [...scopes.values()].map(({ title, told }) => make("section", {}, make("h3", {}, title), make("dl", {},
      ...told.map(([pressable, text]) => make("div", {}, make("dt", {}, ...pressable.map((key) => make("kbd", {}, NAMES[key] ?? key))), make("dd", {}, text))))));
    help.replaceChildren(make("header", {}, make("h2", {}, "Keys"), button("close", () => help.close(), { className: "away", title: "Esc" })),
      make("div", { className: "lists" }, ...lists));
    openDialog(help);
  }
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });
  for (const node of all("[data-help]")) node.addEventListener("click", open);

  return {
    // entries: [keys with a space between, what they do, act]; a key that is given no act is only told of.
    bind(scope, title, entries) {
      const bound = { title, keys: new Map(), told: [] };
      for (const [names, text, act] of entries) {
        const pressable = names === " " ? [" "] : names.split(" ");
        bound.told.push([pressable, text]);
        if (act) for (const key of pressable) bound.keys.set(key, act);
      }
      bound.keys.set("?", open);
      scopes.set(scope, bound);
    },
  };
}
