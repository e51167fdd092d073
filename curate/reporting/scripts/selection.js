// The map within the page: what hovers beside the mouse, what was picked with its neighbours, what was selected.

const SELECTED = 60;     // pictures of a selection shown before "show more"
const NEIGHBOURS = 8;    // pictures beside one that was picked

// The map is made when someone comes near it, or `begin` is called: of a large set it takes a moment.
function mapOf(set, show, known, decisions, look, actions) {
  const place = one("#map .map");
  if (!place) return null;
  const tip = one(".tip"), beside = make("div", { className: "map-picked", aria: { live: "polite" } });
  const selected = make("div", { className: "selection", hidden: true }), node = make("div", { className: "map" });
  place.replaceWith(make("div", { className: "map-beside" }, node, beside), selected);
  beside.append(make("p", { className: "small hint" }, "Point at a dot to see its picture. Click it to see it larger, with its nearest neighbours. ",
    "Draw a lasso or a box to decide on many."));

  // --- Beside the mouse

  let hovered = null;
  async function hover(row, x, y) {
    hovered = row;
    tip.hidden = row === null;
    if (row === null) return;
    await known.ask([row]);
    if (hovered !== row) return;
    tip.replaceChildren(show.image(row, 96), show.described(row));
    const { offsetWidth: wide, offsetHeight: high } = tip;
    tip.style.left = `${Math.max(8, x + 18 + wide > innerWidth ? x - wide - 18 : x + 18)}px`;
    tip.style.top = `${Math.max(8, Math.min(innerHeight - high - 8, y + 12))}px`;
  }

  // --- What was picked

  let picked = -1;
  async function pick(row) {
    picked = row;
    tip.hidden = true;
    await known.ask([row]);
    const near = make("div", { className: "pinned neighbours" });
    const neighbours = (await set.source.neighbours(row)).slice(0, NEIGHBOURS), others = neighbours.length ? neighbours : map.near(row, NEIGHBOURS);
    if (picked !== row) return;
    beside.replaceChildren(make("article", {}, show.picture(row, look, 96), show.described(row)),
      make("h3", {}, neighbours.length ? "Its nearest neighbours" : "Beside it on the map"), near);
    await known.ask(others);
    if (picked !== row) return;
    near.append(...others.map((other) => make("figure", {}, show.picture(other, look, 96), make("figcaption", { title: show.labelOf(other), dir: "auto" }, show.labelOf(other)))));
  }

  // --- What was selected

  let rows = new Int32Array(0), limit = SELECTED;
  async function select(chosen) {
    rows = chosen;
    limit = SELECTED;
    await drawSelection();
  }

  const decide = (action, label) => decisions.decide([{ rows: [...rows], action, label }]).catch(complain);

  async function drawSelection() {
    const drawn = rows;
    selected.hidden = !drawn.length;
    if (!drawn.length) return;
    const shown = [...drawn.subarray(0, limit)];
    await known.ask(shown);
    if (rows !== drawn) return;
    const classes = make("select", { aria: { label: "relabel all of the selection" } }, make("option", { value: "" }, "relabel all as …"),
      ...set.info.classes.map((name, label) => make("option", { value: label }, spelled(name))));
    classes.addEventListener("change", () => { if (classes.value !== "") decide("relabel", +classes.value); });
    const tools = make("p", { className: "tools" }, button("drop all", () => decide("drop")), button("keep all", () => decide("keep")),
      set.info.classes.length ? classes : null, button("look through", () => actions.lookThrough(`Selection of ${plural(drawn.length, "picture")}`, drawn)),
      button("review these", () => actions.review(drawn)), button("clear", () => map.clearSelection()));
    const pictures = make("div", { className: "pinned members" }, ...shown.map((row) =>
      make("figure", {}, show.picture(row, look, 96), make("figcaption", { dir: "auto" }, show.labelOf(row), " ", show.tag(show.verdictOf(row)), " ", show.decided(row) ?? ""))));
    selected.replaceChildren(make("h3", {}, `${plural(drawn.length, "picture")} selected`), tools, pictures);
    if (drawn.length > shown.length) {
      selected.append(make("p", { className: "more" }, button(`show ${count(Math.min(120, drawn.length - shown.length))} more`, () => { limit += 120; drawSelection(); }),
        make("span", { className: "quiet" }, ` ${count(drawn.length - shown.length)} are not shown yet`)));
    }
  }

  let map = null, making = null;
  const begin = () => (making ??= makeMap(node, set.source, {
    hover,
    pick: (row) => pick(row).catch(complain),
    select: (chosen) => select(chosen).catch(complain),
  }).then((made) => {
    map = made;
    if (decisions.standing.size) redraw();
  }));
  const near = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    near.disconnect();
    begin().catch(complain);
  }, { rootMargin: "400px" });
  near.observe(node);

  // What was decided is drawn as it will be.
  function redraw() {
    if (!map) return;
    const verdict = set.columns.verdict.slice();
    for (const row of decisions.standing.keys()) verdict[row] = set.info.verdicts.indexOf(show.verdictNow(row));
    map.update({ verdict });
    if (rows.length) drawSelection().catch(complain);
  }
  decisions.subscribe(whenSeen(redraw));

  return {
    begin,
    async showOnMap(row) {
      await begin();
      map.ring(row);
      map.element.scrollIntoView({ block: "center" });
      map.element.focus({ preventScroll: true });
      pick(row).catch(complain);
    },
  };
}
