// The page is put together: what it knows, what is decided, and each part that shows it.

async function begin() {
  const source = one("#data") ? inlinedCarrier() : await servedCarrier();
  const set = await setOf(source);
  const known = knowledgeOf(source, set.columns.label);
  const decisions = decisionsOf(source, known);
  await decisions.load();
  const show = presentation(set, known, decisions, thumbnailsOf(source));
  const keys = keysOf();
  const actions = {};
  const look = (row, frame) => closer.look(row, frame);
  const comparing = comparisonsOf(set, show, known, look);
  const closer = closerOf(set, show, known, decisions, comparing, keys, actions);
  const queue = queueOf(set, show, known, decisions, closer, comparing, keys, actions);
  const grid = gridOf(set, show, known, decisions, closer, comparing, keys);
  actions.review = queue.open;
  actions.lookThrough = grid.open;
  drawStrips(set, show, known, look);
  const galleries = galleriesOf(set, show, known, decisions, look);
  galleries.whenLookedThrough((group, rows) => grid.open(`Group ${group}`, rows));
  openersOf(set, actions, galleries);
  drawDecided(source, known, decisions);
  keysOfPage(keys, actions, decisions, galleries);
  const onMap = mapOf(set, show, known, decisions, look, actions);
  if (onMap) actions.showOnMap = (row) => onMap.showOnMap(row).catch(complain);
  await galleries.drawAll();
  const follow = () => followImage(source, known, closer.look);
  addEventListener("hashchange", follow);
  await follow();
  document.documentElement.dataset.ready = "yes";
  if (onMap) setTimeout(() => onMap.begin().catch(complain), 300);
}

// Buttons that open the queue and the grid.
function openersOf(set, actions, galleries) {
  for (const node of all("[data-queue]")) node.addEventListener("click", () => actions.review());
  for (const node of all("[data-through]")) {
    const name = node.dataset.through;
    const label = set.info.classes.findIndex((other) => other.replace(/\r\n?/g, "\n") === name.replace(/\r\n?/g, "\n"));
    node.addEventListener("click", () => actions.lookThrough(spelled(name) || "No label",
      [...set.columns.label.keys()].filter((row) => set.columns.label[row] === label)));
  }
  for (const node of all("[data-gallery]")) {
    const open = (act) => () => act(galleries.rowsOf(node));
    const tools = make("p", { className: "tools" },
      button("review these", open((rows) => actions.review(rows))),
      button("look through", open((rows) => actions.lookThrough(one("h3", node).firstChild.nextSibling?.textContent?.trim() || one("h3", node).textContent, rows))));
    if (galleries.rowsOf(node).length) one(".units", node).before(tools);
  }
}

function keysOfPage(keys, actions, decisions, galleries) {
  const to = (selector) => () => { const place = one(selector); if (!place) return false; place.scrollIntoView(); };
  keys.bind(null, "On the page", [
    ["/", "search", () => { if (!galleries.search) return false; one("#galleries").scrollIntoView(); galleries.search.focus(); }],
    ["q", "review, one picture after the other", () => (one("[data-queue]") ? actions.review() : false)],
    ["f", "what was found", to("#summary")],
    ["c", "classes", to("#classes")],
    ["m", "map", to("#map")],
    ["p", "pictures", to("#galleries")],
    ["Escape", "close the list of decisions", () => { const fold = one("#decided details"); if (!fold.open) return false; fold.open = false; }],
    ["u", "undo the last decision", () => { decisions.undo().catch(complain); }],
    ["?", "these keys", null],
  ]);
}

// A link to one image, as other pages have: #image=ID.
async function followImage(source, known, look) {
  if (!location.hash.startsWith("#image=")) return;
  const id = decodeURIComponent(location.hash.slice("#image=".length));
  const rows = [...await source.search(id)];
  await known.ask(rows);
  const row = rows.find((other) => known.id(other) === id);
  if (row === undefined) complain(new Error(`no image of this page has the id ${spelled(id)}`));
  else await look(row);
}

// The pictures beside sentences: those of one picture together.
function drawStrips(set, show, known, look) {
  for (const strip of all("[data-strip]")) {
    for (const together of JSON.parse(strip.dataset.strip)) {
      known.ask(together);
      strip.append(make("div", { className: together.length > 1 ? "together" : "" }, ...together.map((row) =>
        make("figure", {}, show.picture(row, look), make("figcaption", { title: show.labelOf(row), dir: "auto" }, show.labelOf(row))))));
    }
  }
}

// What was decided, how to take it back, and how the clean set comes to follow.
function drawDecided(source, known, decisions) {
  const LISTED = 200;
  const bar = one("#decided"), said = one("output", bar), fold = one("details", bar), list = one("ul", fold);
  one("[data-undo]", bar).addEventListener("click", () => decisions.undo().catch(complain));
  const save = one("[data-save]", bar);
  save.hidden = source.served;
  save.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([decisions.text()], { type: "application/jsonl" }));
    make("a", { href: url, download: "decisions.jsonl" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });

  function line(decision) {
    const { rows, action, label } = decision, [row] = rows;
    const others = rows.length > 1 ? ` and ${count(rows.length - 1)} more` : "";
    return make("li", {}, make("span", { className: `tag decided ${action === "relabel" ? "keep" : action}` }, PAST[action] ?? action), " ",
      make("bdi", { title: known.id(row) }, shortened(known.id(row), 40)), others,
      action === "relabel" ? make("bdi", { className: "quiet" }, ` ${spelled(source.info.classes[label] ?? "")}`) : null, " ",
      button("undo", () => decisions.takeBack([decision.line]).catch(complain), { ariaLabel: `undo: ${spelled(known.id(row))} ${PAST[action] ?? action}` }));
  }

  async function drawList() {
    if (!fold.open) return;
    const listed = decisions.list();
    await known.ask(listed.slice(0, LISTED).map(({ rows }) => rows[0] ?? -1)).catch(complain);
    list.replaceChildren(...listed.slice(0, LISTED).filter(({ rows }) => rows.length).map(line),
      ...(listed.length > LISTED ? [make("li", { className: "quiet" }, `and ${count(listed.length - LISTED)} more`)] : []));
  }

  const draw = () => {
    const counts = decisions.counts();
    bar.hidden = !Object.keys(counts).length;
    said.textContent = inWords(counts);
    drawList();
  };
  fold.addEventListener("toggle", drawList);
  decisions.subscribe(draw);
  draw();
}

let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = all("details:not([open])");
  for (const fold of unfolded) fold.open = true;
});
addEventListener("afterprint", () => { for (const fold of unfolded) fold.open = false; });

// The second frame: only then has the first been painted.
requestAnimationFrame(() => requestAnimationFrame(() => begin().catch(complain)));
