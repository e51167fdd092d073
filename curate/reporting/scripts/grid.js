// Many pictures at once: the wrong ones are marked, and all are decided together. Only what is in view is drawn.

const CELL_WORDS = 30;  // pixels below a picture
const GAP = 10;

const GRID_ORDERS = { doubtful: "most doubtful first", far: "far from the others on the map", class: "by class", id: "by id" };

function gridOf(set, show, known, decisions, closer, comparing, keys) {
  const { columns, info } = set;
  const dialog = one("dialog.grid");
  const marked = new Set(), cells = new Map();  // row -> its cell
  let rows = [], listed = [], across = 1, size = 112, active = 0, anchor = 0, busy = false, several = false;

  // --- What the dialog is made of

  const heading = make("h2", {});
  const said = make("output", { className: "quiet" });
  const order = make("select", { aria: { label: "Order" } }, ...Object.entries(GRID_ORDERS).map(([value, text]) => make("option", { value }, text)));
  const which = make("select", { aria: { label: "Which pictures" } }, ...[["", "all"], ["undecided", "not decided yet"], ["review", "to review"], ["drop", "dropped"], ["keep", "kept"]]
    .map(([value, text]) => make("option", { value }, text)));
  const slider = make("input", { type: "range", min: 56, max: 240, step: 8, value: size, aria: { label: "Size of the pictures" } });
  const sheet = make("div", { className: "sheet", tabIndex: 0, id: "sheet", aria: { role: "listbox", multiselectable: "true", label: "Pictures" } });
  const view = make("div", { className: "view" }, sheet);
  const tools = make("div", { className: "tools", aria: { role: "group", label: "Decide" } });
  const foot = make("footer", {});
  const chooser = labelChooser(set, show, foot);
  foot.append(tools);
  dialog.replaceChildren(
    make("header", {}, heading, said, make("span", { className: "settings" }, which, order, slider, button("close", () => closeDialog(dialog), { className: "away", title: "Esc" }))),
    view, foot, make("p", { className: "announcements offstage", aria: { live: "polite" } }));

  const tool = keyedButtons(tools);
  const buttons = {
    drop: tool("d", "drop marked", () => decide("drop"), "drop"),
    keep: tool("k", "keep marked", () => decide("keep"), "keep"),
    relabel: tool("r", "relabel marked", relabel, "relabel"),
    apart: tool("n", "not copies", () => decide("not_copies"), "apart"),
    rest: tool("f", "the rest is right: keep", rest, "rest-right"),
    clear: tool("Esc", "clear marks", () => clear(), "clear"),
    undo: tool("u", "undo", undo, "undo"),
  };

  // --- Which rows, in which order

  function doubts() {
    const place = { review: 0, keep: 1, drop: 2 };
    const weight = new Map(rows.map((row) => {
      const findings = set.findingsOf(row);
      const chances = findings.map((finding) => (columns.finding_chance[finding] === UNKNOWN ? columns.finding_score[finding] : columns.finding_chance[finding]));
      return [row, Math.max(-1, ...chances)];
    }));
    return (a, b) => place[show.verdictOf(a)] - place[show.verdictOf(b)] || weight.get(b) - weight.get(a) || a - b;
  }

  function distances() {
    const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
    const placed = rows.filter((row) => columns.x[row] !== NOWHERE);
    const x = middle(placed.map((row) => columns.x[row])), y = middle(placed.map((row) => columns.y[row]));
    const far = (row) => (columns.x[row] === NOWHERE ? Infinity : Math.hypot(columns.x[row] - x, columns.y[row] - y));
    return (a, b) => { const [p, q] = [far(a), far(b)]; return p === q ? a - b : q - p; };
  }

  function arrange() {
    const fits = { "": () => true, undecided: (row) => !decisions.of(row) }[which.value] ?? ((row) => show.verdictNow(row) === which.value);
    const by = { doubtful: doubts, far: distances, class: () => (a, b) => columns.label[a] - columns.label[b] || a - b, id: () => (a, b) => a - b }[order.value]();
    listed = rows.filter(fits).sort(by);
    for (const row of marked) if (!fits(row)) marked.delete(row);
    active = Math.min(active, Math.max(0, listed.length - 1));
    view.scrollTop = 0;
    redraw();
  }

  // --- Only what is in view

  const pitch = () => size + GAP;
  const tall = () => size + CELL_WORDS + GAP;

  function redraw() {
    for (const cell of cells.values()) cell.remove();
    cells.clear();
    layOut();
    tell();
  }

  let waiting = 0;
  function layOut() {
    const width = view.clientWidth - 2 * GAP;
    across = Math.max(1, Math.floor((width + GAP) / pitch()));
    sheet.style.height = `${Math.ceil(listed.length / across) * tall() + GAP}px`;
    const first = Math.max(0, Math.floor(view.scrollTop / tall()) - 1) * across;
    const end = Math.min(listed.length, (Math.ceil((view.scrollTop + view.clientHeight) / tall()) + 1) * across);
    const inView = new Set();
    for (let place = first; place < end; place++) {
      inView.add(listed[place]);
      const cell = cells.get(listed[place]) ?? cellOf(listed[place], place);
      cell.style.transform = `translate(${GAP + (place % across) * pitch()}px, ${GAP + Math.floor(place / across) * tall()}px)`;
      cell.style.width = `${size}px`;
      cell.style.setProperty("--picture", `${size}px`);
    }
    for (const [row, cell] of cells) if (!inView.has(row)) { cell.remove(); cells.delete(row); }
    sheet.setAttribute("aria-activedescendant", cells.has(listed[active]) ? `cell-${listed[active]}` : "");
    // Whoever scrolls past asks for nothing.
    clearTimeout(waiting);
    waiting = setTimeout(fill, 60);
  }

  function cellOf(row, place) {
    const cell = make("div", { id: `cell-${row}`, className: "cell", data: { row }, aria: { role: "option", setsize: listed.length, posinset: place + 1 } },
      make("span", { className: "picture" }), make("span", { className: "under" }));
    cells.set(row, cell);
    sheet.append(cell);
    mark(cell, row);
    return cell;
  }

  async function fill() {
    const empty = [...cells].filter(([, cell]) => !cell.dataset.filled);
    await known.ask(empty.map(([row]) => row)).catch(complain);
    for (const [row, cell] of empty) {
      if (!cell.isConnected || cell.dataset.filled) continue;
      cell.dataset.filled = "yes";
      one(".picture", cell).append(show.image(row, size > 120 ? LARGE : 96));
      mark(cell, row);
    }
  }

  function mark(cell, row) {
    const on = marked.has(row), verdict = show.verdictOf(row), decided = show.decided(row);
    cell.classList.toggle("marked", on);
    cell.classList.toggle("active", row === listed[active]);
    cell.setAttribute("aria-selected", on);
    cell.title = spelled(known.id(row));
    one(".under", cell).replaceChildren(...[decided ?? (verdict === "keep" ? null : show.tag(verdict)),
      several || !(decided || verdict !== "keep") ? make("bdi", {}, several ? show.labelOf(row) : shortened(known.id(row), 16)) : null].filter(Boolean));
    cell.setAttribute("aria-label", `${spelled(known.id(row))} ${show.labelOf(row)}, ${decided?.textContent ?? verdict}${on ? ", marked" : ""}`);
  }

  function tell(aloud = "") {
    const undecided = listed.filter((row) => !marked.has(row) && !decisions.of(row)).length;
    said.textContent = `${plural(listed.length, "picture")}, ${count(marked.size)} marked`;
    for (const name of ["drop", "keep", "relabel"]) buttons[name].setAttribute("aria-disabled", !marked.size || busy);
    buttons.relabel.hidden = info.classes.length < 2;
    buttons.apart.hidden = !ofOneGroup();
    buttons.clear.setAttribute("aria-disabled", !marked.size);
    one("span", buttons.rest).textContent = marked.size ? `the other ${count(undecided)} are right: keep` : `all ${count(undecided)} are right: keep`;
    buttons.rest.setAttribute("aria-disabled", !undecided || busy);
    if (aloud) announce(aloud);
  }

  function ofOneGroup() {
    const of = [...marked];
    return of.length > 1 && columns.group[of[0]] >= 0 && of.every((row) => columns.group[row] === columns.group[of[0]]);
  }

  // --- Marking: by click, a range with shift, by dragging over, by keyboard

  function put(row, on) {
    if (on === marked.has(row)) return;
    if (on) marked.add(row); else marked.delete(row);
    const cell = cells.get(row);
    if (cell) mark(cell, row);
  }

  function goTo(place) {
    const before = cells.get(listed[active]);
    active = Math.max(0, Math.min(listed.length - 1, place));
    before?.classList.remove("active");
    const top = GAP + Math.floor(active / across) * tall();
    if (top < view.scrollTop) view.scrollTop = top - GAP;
    if (top + tall() > view.scrollTop + view.clientHeight) view.scrollTop = top + tall() - view.clientHeight;
    layOut();
    cells.get(listed[active])?.classList.add("active");
  }

  function range(to, on) {
    const [low, high] = [Math.min(anchor, to), Math.max(anchor, to)];
    for (let place = low; place <= high; place++) put(listed[place], on);
  }

  const placeAt = (event) => {
    const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest?.(".cell");
    return cell ? listed.indexOf(+cell.dataset.row) : -1;
  };
  let dragging = null;
  sheet.addEventListener("pointerdown", (event) => {
    const place = placeAt(event);
    if (place < 0 || event.button !== 0) return;
    if (event.shiftKey) { range(place, true); active = place; tell(`${marked.size} marked`); return; }
    dragging = { on: !marked.has(listed[place]), from: place, over: event.pointerType !== "touch", moved: false };
    if (dragging.over) { put(listed[place], dragging.on); event.preventDefault(); sheet.focus({ preventScroll: true }); }
  });
  sheet.addEventListener("pointermove", (event) => {
    if (!dragging?.over) return;
    const place = placeAt(event);
    if (place < 0 || place === dragging.at) return;
    dragging.at = place;
    if (place !== dragging.from) dragging.moved = true;
    if (dragging.moved) put(listed[place], dragging.on);
  });
  addEventListener("pointerup", (event) => {
    if (!dragging) return;
    if (!dragging.over && placeAt(event) === dragging.from) put(listed[dragging.from], dragging.on);
    anchor = active = dragging.from;
    dragging = null;
    goTo(active);
    tell(`${marked.size} marked`);
  });
  addEventListener("pointercancel", () => { dragging = null; });
  sheet.addEventListener("dblclick", (event) => { const place = placeAt(event); if (place >= 0) lookAt(place); });

  const lookAt = (place) => { if (listed[place] !== undefined) closer.look(listed[place]); };

  function toggle() {
    put(listed[active], !marked.has(listed[active]));
    anchor = active;
    tell(`${marked.has(listed[active]) ? "marked" : "not marked"}, ${marked.size} in all`);
  }

  function step(by, event) {
    const to = Math.max(0, Math.min(listed.length - 1, active + by));
    if (event?.shiftKey) range(to, true);
    else anchor = to;
    goTo(to);
    if (event?.shiftKey) tell(`${marked.size} marked`);
  }

  function clear() {
    for (const row of [...marked]) put(row, false);
    tell("no marks");
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "a" || !(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches("input:not([type=range])")) return;
    event.preventDefault();
    for (const row of listed) put(row, true);
    tell(`all ${marked.size} marked`);
  });

  // --- Deciding

  async function decide(action, label, of = [...marked]) {
    if (!of.length || busy || (action === "not_copies" && !ofOneGroup())) return;
    busy = true;
    const asked = action === "not_copies" ? set.copiesOf(of[0]) : of;
    for (const row of of) put(row, false);
    tell();
    try {
      await decisions.decide([{ rows: asked, action, label }]);
      tell(`${plural(of.length, "picture")} ${action === "relabel" ? `relabelled ${show.labelName(label)}` : PAST[action]}`);
    } catch (error) {
      for (const row of of) put(row, true);
      complain(error);
    } finally {
      busy = false;
      tell();
    }
  }

  function rest() {
    decide("keep", undefined, listed.filter((row) => !marked.has(row) && !decisions.of(row)));
  }

  function relabel() {
    if (!marked.size) return;
    const labels = new Set([...marked].map((row) => columns.label[row]));
    const suggestions = new Set([...marked].map(comparing.suggestedFor));
    chooser.ask(`The label of the ${count(marked.size)} marked`, labels.size === 1 ? [...labels][0] : -1,
      suggestions.size === 1 ? [...suggestions][0] : -1, (label) => decide("relabel", label));
  }

  async function undo() {
    try {
      const back = await decisions.undo();
      tell(back.length ? `taken back: ${plural(back.length, "picture")}` : "nothing to undo");
    } catch (error) { complain(error); }
  }

  decisions.subscribe(() => {
    if (!dialog.open) return;
    for (const [row, cell] of cells) mark(cell, row);
    tell();
  });
  view.addEventListener("scroll", () => requestAnimationFrame(layOut));
  new ResizeObserver(() => { if (dialog.open) layOut(); }).observe(view);
  slider.addEventListener("input", () => {
    const first = Math.floor(view.scrollTop / tall()) * across;
    size = +slider.value;
    redraw();
    view.scrollTop = Math.floor(first / across) * tall();
  });
  order.addEventListener("change", arrange);
  which.addEventListener("change", arrange);
  dialog.addEventListener("close", () => {
    if (dialog.open) return;
    for (const cell of cells.values()) cell.remove();
    cells.clear();
    marked.clear();
  });

  const page = () => Math.max(1, Math.floor(view.clientHeight / tall())) * across;
  keys.bind(dialog, "Many pictures at once", [
    ["ArrowLeft ArrowRight ArrowUp ArrowDown", "move; with shift all between are marked",
      (event) => step({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key], event)],
    ["PageUp PageDown Home End", "further", (event) => step({ PageUp: -page(), PageDown: page(), Home: -listed.length, End: listed.length }[event.key], event)],
    [" ", "mark, or no longer", toggle],
    ["Ctrl+a", "mark all; the mouse marks by click, by dragging over, and with shift from the last to here", null],
    ["d", "drop what is marked", () => decide("drop")],
    ["k", "keep what is marked", () => decide("keep")],
    ["r", "relabel what is marked", relabel],
    ["n", "what is marked are not copies of each other", () => decide("not_copies")],
    ["f", "the rest is right: keep", rest],
    ["u", "undo", undo],
    ["Enter", "look closer", () => lookAt(active)],
    ["Escape", "clear the marks; end", () => (marked.size ? clear() : closeDialog(dialog))],
  ]);

  return {
    open(title, of) {
      rows = [...of];
      marked.clear();
      [active, anchor, which.value] = [0, 0, ""];
      order.value = "doubtful";
      several = new Set(rows.map((row) => columns.label[row])).size > 1;
      for (const option of order.options) {
        if (option.value === "far") option.hidden = !rows.some((row) => columns.x[row] !== NOWHERE);
        if (option.value === "class") option.hidden = !several;
      }
      heading.replaceChildren(make("bdi", { title }, title));
      openDialog(dialog);
      arrange();
      sheet.focus();
    },
  };
}
