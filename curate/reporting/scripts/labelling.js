// Choosing a class: by typing, by its number, or the one that is suggested.

const NUMBERED = 9;  // classes that a digit chooses
const LISTED = 100;  // classes in the list at once

// A field and a list in `place`. accept(label) is called with a class's number; what was open before is closed.
function labelChooser(set, show, place) {
  const { classes } = set.info;
  const digits = !classes.some((name) => /^\d/.test(name));  // else a digit is the beginning of a name
  const list = make("ul", { id: `classes-${labelChooser.made = (labelChooser.made ?? 0) + 1}`, aria: { role: "listbox", label: "Classes" } });
  const field = make("input", { type: "text", autocomplete: "off", spellcheck: false, placeholder: "class",
    aria: { role: "combobox", label: "Class: type, or choose by number", expanded: "true", controls: list.id, autocomplete: "list" } });
  const prompt = make("p", { className: "prompt" });
  const node = make("div", { className: "labelling", hidden: true }, prompt, field, list);
  place.append(node);
  let shown = [], at = 0, question = "", given = -1, suggested = -1, accept = () => {}, back = null;

  function draw() {
    const text = field.value.trim().toLowerCase();
    const rank = (label) => (text ? +!classes[label].toLowerCase().startsWith(text) : +(label !== suggested && shown.length > LISTED));
    shown = [...classes.keys()].filter((label) => label !== given && classes[label].toLowerCase().includes(text));
    shown = shown.sort((a, b) => rank(a) - rank(b) || a - b).slice(0, LISTED);
    at = text ? 0 : shown.indexOf(suggested);  // without a suggestion Enter accepts nothing
    list.replaceChildren(...shown.map((label) => {
      const item = make("li", { id: `${list.id}-${label}`, aria: { role: "option" } },
        digits && label < NUMBERED ? make("kbd", {}, String(label + 1)) : null,
        make("bdi", { title: show.labelName(label) }, show.labelName(label) || "(no name)"),
        label === suggested ? make("small", {}, "suggested") : null);
      item.addEventListener("click", () => choose(label));
      return item;
    }));
    prompt.textContent = shown.length ? question : "No other class is called so.";
    point();
  }

  function point() {
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", i === at));
    const item = list.children[at];
    field.setAttribute("aria-activedescendant", item?.id ?? "");
    item?.scrollIntoView({ block: "nearest" });
  }

  function choose(label) {
    close();
    accept(label);
  }

  function close() {
    if (node.hidden) return;
    node.hidden = true;
    back?.focus({ preventScroll: true });
  }

  field.addEventListener("input", draw);
  field.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const number = digits && !field.value && /^[1-9]$/.test(event.key) ? +event.key - 1 : -1;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "ArrowDown") at = Math.min(at + 1, shown.length - 1);
    else if (event.key === "ArrowUp") at = Math.max(at - 1, 0);
    else if (event.key === "Enter") { if (shown[at] !== undefined) choose(shown[at]); }
    else if (event.key === "Escape") close();
    else if (number >= 0) { if (number < classes.length && number !== given) choose(number); }
    else return;
    event.preventDefault();
    event.stopPropagation();
    point();
  });

  return {
    node,
    get open() { return !node.hidden; },
    close,
    // words: what is asked;  own: the label that needs no choosing, -1 for none;  likely: that which Enter accepts.
    ask(words, own, likely, act) {
      [question, given, suggested, accept] = [words, own, likely, act];
      back = topDialog() ?? document.activeElement;
      field.value = "";
      node.hidden = false;
      draw();
      field.focus();
    },
  };
}
