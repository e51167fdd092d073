// What awaits review, one large picture after the other. The next ones are made ready while one is looked at, and what
// was decided is written while the next is shown.

const AHEAD = 3;     // pictures made ready
const HELD = 12;     // pictures that are ready, of those that were and of those that will be looked at
const TOGETHER = 40; // pictures of a group that is decided as a whole

const ORDERS = { likely: "likeliest first", check: "by check", class: "by class", suggested: "by suggested class" };

function queueOf(set, show, known, decisions, closer, comparing, keys, actions) {
  const { columns, info, source } = set;
  const dialog = one("dialog.queue");
  const chances = new Map([...columns.queue].map((row, i) => [row, columns.queue_chance[i]]));
  const ready = new Map();    // row -> what is made ready of it
  const pending = new Map();  // row -> action that is being written
  const trail = [];           // rows at which something was decided, for undo
  let rows = [], listed = [], at = 0, skipped = new Set(), group = null, grouped = 0, shownRow = -1;

  // --- What the dialog is made of

  const said = make("output", { className: "counter" });
  const progress = make("progress", { aria: { label: "decided" } });
  const tally = make("p", { className: "tally quiet" });
  const order = make("select", { aria: { label: "Order" } }, ...Object.entries(ORDERS).map(([value, text]) => make("option", { value }, text)));
  const without = make("input", { type: "checkbox", checked: true });
  const stage = make("div", { className: "stage" });
  const about = make("div", { className: "words" });
  const besides = make("div", { className: "besides" });
  const question = make("span", {});
  const asked = make("p", { className: "asked", hidden: true }, question, " ",
    button("look through", () => lookThrough(group.what, targets()), { className: "rest" }));
  const tools = make("div", { className: "tools", aria: { role: "group", label: "Decide" } });
  const foot = make("footer", {});
  const chooser = labelChooser(set, show, foot);
  foot.append(asked, tools);
  const main = make("div", { className: "main", tabIndex: 0, aria: { role: "region", label: "The picture and what it is held against" } }, stage, about, besides);
  dialog.replaceChildren(
    make("header", {}, said, tally, make("span", { className: "settings" }, order, make("label", {}, without, " leave out what is decided"),
      button("close", () => closeDialog(dialog), { className: "away", title: "Esc" })), progress),
    main, foot, make("p", { className: "announcements offstage", aria: { live: "polite" } }));

  const tool = keyedButtons(tools);
  const buttons = {
    drop: tool("d", "drop", () => decide("drop"), "drop"),
    keep: tool("k", "keep", () => decide("keep"), "keep"),
    relabel: tool("r", "relabel", relabel, "relabel"),
    apart: tool("n", "not copies", () => decide("not_copies"), "apart"),
    group: tool("g", "group", nextGroup, "group"),
    back: tool("←", "back", () => move(-1), "back"),
    skip: tool("→", "skip", () => move(1), "skip"),
    undo: tool("u", "undo", undo, "undo"),
    whole: tool("o", "full size", enlarge, "whole"),
  };

  const lookThrough = (title, of) => actions.lookThrough(title[0].toUpperCase() + title.slice(1), of);

  // --- Which rows, in which order

  // That it is no copy settles a row of which nothing else is said.
  const ofCopiesAlone = (row) => set.findingsOf(row).every((finding) => columns.finding_group[finding] >= 0 && columns.finding_group[finding] === columns.group[row]);
  const actionOf = (row) => pending.get(row) ?? decisions.of(row)?.action ?? (decisions.apart.has(row) && ofCopiesAlone(row) ? "not_copies" : null);
  const done = (row) => actionOf(row) !== null;
  // Hundredths; as good as the toss of a coin where nothing says it.
  const chanceOf = (row) => {
    const told = chances.get(row) ?? Math.max(-1, ...set.findingsOf(row).map((finding) => columns.finding_chance[finding]).filter((chance) => chance !== UNKNOWN));
    return told < 0 || told === UNKNOWN ? 50 : told;
  };
  const firstCheck = (row) => Math.min(...set.findingsOf(row).map((finding) => columns.finding_check[finding]));
  const names = (a, b) => a.localeCompare(b);

  function inOrder() {
    const place = new Map(rows.map((row, i) => [row, i]));
    const by = {
      likely: () => 0,
      check: (a, b) => firstCheck(a) - firstCheck(b),
      class: (a, b) => names(show.labelOf(a), show.labelOf(b)),
      suggested: (a, b) => (comparing.suggestedFor(a) < 0) - (comparing.suggestedFor(b) < 0) || names(show.labelName(comparing.suggestedFor(a)), show.labelName(comparing.suggestedFor(b))),
    }[order.value];
    return [...rows].sort((a, b) => by(a, b) || place.get(a) - place.get(b));
  }

  // The next place from here on, at which there is something to decide; past the end where there is none.
  function from(place, step = 1) {
    while (place >= 0 && place < listed.length && without.checked && done(listed[place])) place += step;
    return place;
  }

  // What is likely looked at next; after a whole group that is decided on, none of it.
  function coming() {
    const next = [], together = new Set(group ? targets() : []);
    for (let place = from(at + 1); place < listed.length && next.length < AHEAD; place = from(place + 1)) {
      if (!together.has(listed[place])) next.push(listed[place]);
    }
    return next;
  }

  // --- What is made ready

  function prepare(row) {
    if (!ready.has(row)) {
      const entry = { large: closer.large(row, LARGE), beside: null };
      entry.made = known.ask([row]).then(() => comparing.beside(row)).then((node) => { entry.beside = node; });
      entry.made.catch(complain);
      ready.set(row, entry);
    }
    return ready.get(row);
  }

  function prepareNext() {
    const next = coming();
    known.ask(next).catch(complain);
    for (const row of next) prepare(row);
    const wanted = new Set([...next, listed[at], listed[at - 1]]);
    for (const row of ready.keys()) if (ready.size > HELD && !wanted.has(row)) ready.delete(row);
  }

  // --- What is shown

  function draw() {
    chooser.close();
    dialog.classList.remove("whole");
    const row = listed[at];
    [group, grouped] = [null, 0];
    shownRow = row ?? -1;
    if (row === undefined) return drawEnd();
    dialog.classList.remove("ended");
    const entry = prepare(row);
    stage.replaceChildren(entry.large);
    main.scrollTop = 0;
    const fill = () => {
      if (shownRow !== row) return;
      about.replaceChildren(show.described(row, true));
      if (entry.beside) besides.replaceChildren(entry.beside);
      drawTools();
      const now = done(row) ? `, ${PAST[actionOf(row)]}` : "";
      announce(`${last ? `${last}. ` : ""}${spelled(known.id(row))}, ${show.labelOf(row)}${now}, ${at + 1} of ${listed.length}: ${set.findingsOf(row).map((finding) => show.checkOf(finding).title).join(", ")}`);
    };
    if (known.id(row)) fill();
    else about.replaceChildren();
    if (!entry.beside) {
      besides.replaceChildren();
      entry.made.then(fill, fill);
    }
    drawCounter();
    afterPaint(prepareNext);
  }
  let last = "";  // what was decided before this, for those who hear the page

  function drawCounter() {
    const left = listed.filter((row) => !done(row));
    const right = left.reduce((sum, row) => sum + chanceOf(row) / 100, 0);
    said.replaceChildren(make("b", {}, `${count(Math.min(at + 1, listed.length))} of ${count(listed.length)}`),
      left.length ? make("span", { className: "quiet" }, ` · some ${count(Math.round(right))} of the remaining ${count(left.length)} are likely right`) : "");
    progress.max = Math.max(1, listed.length);
    progress.value = listed.length - left.length;
    tally.textContent = inWords(countsOf(listed));
  }

  function countsOf(which) {
    const counts = {};
    for (const row of which) {
      const action = actionOf(row);
      if (action) counts[action] = (counts[action] ?? 0) + 1;
    }
    return counts;
  }

  function drawTools() {
    const row = listed[at], groups = comparing.groupsOf(row), suggested = comparing.suggestedFor(row);
    one("span", buttons.relabel).textContent = suggested >= 0 && !group ? `relabel: ${shortened(info.classes[suggested], 18)}` : "relabel";
    buttons.relabel.hidden = info.classes.length < 2;
    buttons.apart.hidden = !groups.some((of) => of.copies && decisions.distinct(of.rows).length > 1) || (group && !group.copies);
    buttons.group.hidden = !groups.length;
    buttons.group.setAttribute("aria-pressed", group !== null);
    buttons.whole.hidden = !source.original(row);
    asked.hidden = !group;
    if (group) question.textContent = `For all ${plural(targets().length, "picture")} of this ${group.what}: drop, keep${buttons.apart.hidden ? "" : ", or not copies"}?`;
  }

  function drawEnd() {
    dialog.classList.add("ended");
    const left = listed.filter((row) => !done(row));
    const command = one("#decided code")?.textContent ?? "";
    const total = inWords(countsOf(rows));
    stage.replaceChildren();
    besides.replaceChildren();
    asked.hidden = true;
    const again = () => { skipped.clear(); at = from(0); draw(); };
    about.replaceChildren(make("div", { className: "end" },
      make("h2", {}, left.length ? `${plural(left.length, "picture")} left` : "All decided"),
      make("p", {}, total ? `${total[0].toUpperCase()}${total.slice(1)}.` : "Nothing was decided."),
      left.length ? make("p", {}, button(`go through the ${count(left.length)} again`, again, { className: "primary" })) : null,
      total ? make("p", {}, source.served ? "The clean set follows with " : "Save them as a file, and the clean set follows with ", make("code", {}, command)) : null,
      total && !source.served ? make("p", {}, button("save decisions.jsonl", () => one("#decided [data-save]").click(), { className: "primary" })) : null,
      make("p", {}, button("close", () => closeDialog(dialog), { className: "primary" }))));
    drawCounter();
    announce(`${last ? `${last}. ` : ""}The end: ${left.length ? `${left.length} left` : "all decided"}`);
    last = "";
  }

  // --- What is done

  function move(step) {
    if (dialog.classList.contains("ended") && step > 0) return;
    last = "";
    if (step > 0 && listed[at] !== undefined && !done(listed[at])) skipped.add(listed[at]);
    // Backwards one comes to what was decided too.
    at = step > 0 ? from(at + 1) : Math.max(0, at - 1);
    draw();
  }

  function targets() {
    if (!group) return [listed[at]];
    if (group.copies) return group.rows;
    const here = new Set(rows);
    return group.rows.filter((row) => (here.has(row) || show.verdictOf(row) === "review") && (row === listed[at] || !done(row)));
  }

  function decide(action, label) {
    const row = listed[at];
    if (row === undefined || (action === "not_copies" && buttons.apart.hidden)) return;
    const of = action === "not_copies" ? set.copiesOf(row) : targets();
    const what = action === "relabel" ? `relabelled ${show.labelName(label)}` : PAST[action];
    last = of.length > 1 ? `${plural(of.length, "picture")} ${what}` : what;
    for (const other of of) {
      if (action !== "not_copies" || ofCopiesAlone(other)) pending.set(other, action);
      ready.delete(other);
    }
    trail.push(row);
    decisions.decide([{ rows: of, action, label }]).then(() => settle(of), (error) => {
      settle(of);
      trail.splice(trail.lastIndexOf(row), 1);
      if (dialog.open) { at = Math.max(0, listed.indexOf(row)); draw(); }
      complain(error);
    });
    if (done(row)) at = from(at + 1);
    draw();
  }

  function settle(of) {
    for (const row of of) pending.delete(row);
  }

  function relabel() {
    const row = listed[at];
    if (row === undefined || buttons.relabel.hidden) return;
    const of = targets().length, own = group ? -1 : columns.label[row];
    chooser.ask(of > 1 ? `The label of these ${count(of)}` : "Its label", own, comparing.suggestedFor(row), (label) => decide("relabel", label));
  }

  // One group after the other, then the picture alone again.
  function nextGroup() {
    const groups = listed[at] === undefined ? [] : comparing.groupsOf(listed[at]);
    group = groups[grouped] ?? null;
    grouped = group ? grouped + 1 : 0;
    drawTools();
    const entry = ready.get(listed[at]);
    besides.replaceChildren(...[group ? make("div", { className: "beside" }, comparing.strip([`The whole ${group.what}`], targets(), null, TOGETHER)) : entry?.beside].filter(Boolean));
    afterPaint(prepareNext);
    announce(group ? question.textContent : "this picture alone");
  }

  async function undo() {
    try {
      const rowsBack = await decisions.undo();
      if (!rowsBack.length) return announce("nothing to undo");
      last = `taken back: ${plural(rowsBack.length, "picture")}`;
      const row = rowsBack.includes(trail.at(-1)) ? trail.pop() : rowsBack[0];
      const place = listed.indexOf(row);
      if (place >= 0) at = place;
      draw();
    } catch (error) { complain(error); }
  }

  function enlarge() {
    if (listed[at] !== undefined) dialog.classList.toggle("whole");
  }

  function arrange(keep) {
    const row = listed[at];
    listed = inOrder();
    const place = keep ? listed.indexOf(row) : -1;
    at = place >= 0 ? place : from(0);
    draw();
  }
  order.addEventListener("change", () => arrange(false));
  without.addEventListener("change", () => { at = from(at); draw(); });
  dialog.addEventListener("close", () => {
    if (dialog.open) return;  // it is open again already
    [shownRow, last] = [-1, ""];
    ready.clear();
  });

  // What another tab decided while this picture is looked at.
  decisions.subscribe(() => {
    if (!dialog.open || shownRow < 0) return;
    drawCounter();
    if (about.firstChild && known.id(shownRow)) about.replaceChildren(show.described(shownRow, true));
  });

  keys.bind(dialog, "While reviewing", [
    ["d", "drop", () => decide("drop")],
    ["k", "keep", () => decide("keep")],
    ["r", "relabel: Enter accepts the suggestion, a digit chooses a class, typing filters them", relabel],
    ["g", "the whole group: what is decided next holds for all of it", nextGroup],
    ["n", "not copies of each other", () => decide("not_copies")],
    ["s ArrowRight", "skip", () => move(1)],
    ["ArrowLeft", "back", () => move(-1)],
    ["u", "undo", undo],
    ["o", "full size", enlarge],
    ["Escape", "end", () => closeDialog(dialog)],
  ]);

  return {
    // of: rows to go through, what awaits review where none are given.
    open(of = [...columns.queue]) {
      rows = [...of];
      skipped = new Set();
      trail.length = 0;
      at = 0;
      openDialog(dialog);
      arrange(false);
    },
  };
}
