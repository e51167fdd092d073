// The page is put together: what it knows, what is decided, and each part that shows it.

async function begin() {
  const source = one("#data") ? inlinedCarrier() : await servedCarrier();
  const set = await setOf(source);
  const known = knowledgeOf(source);
  const decisions = decisionsOf(source, known);
  await decisions.load();
  const show = presentation(set, known, decisions, thumbnailsOf(source));
  const actions = {};
  const closer = closerOf(set, show, known, decisions, actions);
  drawStrips(set, show, known, closer.look);
  const galleries = galleriesOf(set, show, known, decisions, closer.look);
  drawDecided(source, decisions);
  const onMap = await mapOf(set, show, known, decisions, closer.look);
  if (onMap) actions.showOnMap = onMap.showOnMap;
  await galleries.drawAll();
  const follow = () => followImage(source, known, closer.look);
  addEventListener("hashchange", follow);
  await follow();
  document.documentElement.dataset.ready = "yes";
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
function drawDecided(source, decisions) {
  const bar = one("#decided");
  const said = one("output", bar);
  one("[data-undo]", bar).addEventListener("click", () => decisions.undo().catch(complain));
  const save = one("[data-save]", bar);
  save.hidden = source.served;
  save.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([decisions.text()], { type: "application/jsonl" }));
    make("a", { href: url, download: "decisions.jsonl" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  const draw = () => {
    const counts = Object.entries(decisions.counts());
    bar.hidden = !counts.length;
    said.textContent = counts.map(([action, n]) => `${count(n)} ${ACTIONS[action]}`).join(", ");
  };
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
