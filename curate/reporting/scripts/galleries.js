// The findings check by check, and what awaits review over all of them: sorted, filtered, and by another threshold.

const SHOWN = 60;        // pictures of a check shown before "show more"
const MORE = 120;
const OF_A_GROUP = 12;   // members of one group shown before its own "show all"
const COMPARED = 4;      // a group of at most so many is shown whole when one member matches a filter
const MATES = 6;         // members of a group of copies that this check does not accuse

const SORTS = {
  likely: "likeliest first", score: "worst first", least: "least certain first", class: "by class", suggested: "by suggested class", size: "largest group first",
};

function galleriesOf(set, show, known, decisions, look) {
  const { info, columns } = set;
  const wanted = { text: "", rows: null, verdict: "", label: "", split: "", suggested: "", sort: "likely" };
  const byCheck = info.checks.map(() => []);
  columns.finding_check.forEach((check, finding) => byCheck[check].push(finding));
  const galleries = all("[data-gallery]").map((node) => {
    const check = info.checks.findIndex((entry) => entry.name === node.dataset.gallery);
    return { node, check, mixed: check < 0, limit: SHOWN, open: new Set(), turn: 0, threshold: info.checks[check]?.threshold, added: [], removed: new Set() };
  });

  const rowOf = (finding) => columns.finding_row[finding];
  const chanceOf = (finding) => (columns.finding_chance[finding] === UNKNOWN ? 50 : columns.finding_chance[finding]);

  function fits(row, finding = null) {
    if (row < 0) return !wanted.text && !wanted.label && !wanted.split && !wanted.suggested && (!wanted.verdict || wanted.verdict === "review");
    if (wanted.verdict === "undecided" ? decisions.of(row) : wanted.verdict && show.verdictNow(row) !== wanted.verdict) return false;
    if (wanted.label !== "" && columns.label[row] !== +wanted.label) return false;
    if (wanted.split !== "" && columns.split[row] !== +wanted.split) return false;
    if (wanted.suggested !== "" && (finding === null || columns.finding_suggested[finding] !== +wanted.suggested)) return false;
    if (!wanted.text) return true;
    return wanted.rows.has(row) || show.labelOf(row).toLowerCase().includes(wanted.text);
  }
  const matches = (finding) => fits(rowOf(finding), finding);

  // --- What a gallery shows, in order: units of one finding, or of a group

  function unitsOf(gallery) {
    if (gallery.mixed) return queueUnits();
    const groups = new Map();
    for (const finding of byCheck[gallery.check]) {
      const group = columns.finding_group[finding];
      const key = group < 0 ? -2 - finding : group;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(finding);
    }
    const units = [...groups].map(([key, findings]) => ({ group: key < 0 ? -1 : key, findings: findings.sort(worseFirst), mates: [] }));
    for (const unit of units) {
      const accused = new Set(unit.findings.map(rowOf));
      if (unit.group >= 0 && ofCopies(unit)) {
        unit.mates = set.membersOf(unit.group).filter((row) => !accused.has(row) && show.verdictOf(row) !== "drop").slice(0, MATES);
      }
      unit.likely = Math.max(...unit.findings.map(chanceOf).slice(0, 1000));
      unit.worst = columns.finding_score[unit.findings[0]];
    }
    return units.sort(order[wanted.sort] ?? order.likely);
  }

  // Groups of copies are those of the set; other checks number groups of their own.
  const ofCopies = (unit) => columns.group[rowOf(unit.findings[0])] === unit.group;
  // What has the same pixels is a copy in any case.
  const mayBeApart = (unit) => {
    const members = set.membersOf(unit.group);
    return ofCopies(unit) && (decisions.distinct(members).length > 1 || !members.every(known.digest));
  };
  const worseFirst = (a, b) => columns.finding_score[b] - columns.finding_score[a] || rowOf(a) - rowOf(b);
  const first = (unit) => unit.findings[0];
  const byName = (name) => (a, b) => name(a).localeCompare(name(b)) || order.likely(a, b);
  const order = {
    likely: (a, b) => b.likely - a.likely || b.worst - a.worst || b.findings.length - a.findings.length || rowOf(first(a)) - rowOf(first(b)),
    score: (a, b) => b.worst - a.worst || order.likely(a, b),
    least: (a, b) => a.likely - b.likely || a.worst - b.worst || rowOf(first(a)) - rowOf(first(b)),
    class: byName((unit) => show.labelOf(rowOf(first(unit)))),
    suggested: byName((unit) => show.labelName(columns.finding_suggested[first(unit)])),
    size: (a, b) => b.findings.length - a.findings.length || order.likely(a, b),
  };

  function queueUnits() {
    const units = [...columns.queue].map((row, i) => {
      const findings = set.findingsOf(row);
      const likeliest = findings.reduce((best, finding) => (chanceOf(finding) > chanceOf(best) ? finding : best), findings[0]);
      const group = columns.finding_group[likeliest];
      const mates = group >= 0 && columns.group[row] === group ? set.membersOf(group).filter((other) => other !== row).slice(0, COMPARED - 1) : [];
      return { group: mates.length ? group : -1, findings: [likeliest], mates, likely: columns.queue_chance[i], worst: columns.finding_score[likeliest], place: i };
    });
    return wanted.sort === "likely" || wanted.sort === "size" ? units : units.sort(order[wanted.sort]);
  }

  // --- Cards

  function card(finding, gallery) {
    const row = rowOf(finding);
    const faded = gallery.removed.has(finding);
    return make("article", { className: `unit single${faded ? " faded" : ""}`, data: { row } },
      row < 0 ? null : show.picture(row, look),
      make("div", {}, show.naming(row), show.state(row, finding), gallery.mixed ? show.speaker(finding) : null, suggestion(finding), show.because(finding)));
  }

  function addedCard(row, score) {
    return make("article", { className: "unit single added", data: { row } }, show.picture(row, look),
      make("div", {}, show.naming(row), show.state(row), make("p", { className: "small" }, `would be flagged, score ${(score / 100).toFixed(2)}`)));
  }

  // Of a suggestion what one key or click accepts.
  function suggestion(finding) {
    const label = columns.finding_suggested[finding], row = rowOf(finding);
    if (label < 0 || row < 0) return null;
    return button(`relabel as ${show.labelName(label)}`, () => decisions.decide([{ rows: [row], action: "relabel", label }]).catch(complain), { className: "suggestion" });
  }

  function member(row, finding, said) {
    const about = make("div", {}, show.naming(row), show.state(row, finding));
    if (said && finding !== null) about.append(show.because(finding));
    const faded = finding !== null && !matches(finding);
    return make("figure", { className: finding === null ? "mate" : faded ? "faded" : "", data: { row } }, show.picture(row, look), about);
  }

  function group(gallery, unit, matching) {
    const findings = unit.findings.length <= COMPARED ? unit.findings : matching;
    const open = gallery.open.has(unit.group);
    const shown = open ? findings : findings.slice(0, OF_A_GROUP);
    const saidOnce = new Set(findings.map(show.sentence)).size === 1;
    const everyone = shown.length + unit.mates.length;
    const apart = !saidOnce && everyone > 4;
    const node = make("article", { className: `unit group${everyone > 4 ? " many" : ""}${apart ? " apart" : ""}`, data: { group: unit.group } });
    const rows = unit.findings.map(rowOf);
    const decide = (action) => () => decisions.decide([{ rows, action }]).catch(complain);
    const tools = make("span", { className: "tools" }, button("keep all", decide("keep")), button("drop all", decide("drop")),
      mayBeApart(unit) ? button("not copies", () => decisions.decide([{ rows: set.membersOf(unit.group), action: "not_copies" }]).catch(complain)) : null,
      button("look through", () => lookThrough(unit.group, rows)));
    node.append(make("div", { className: "head" }, make("h4", {}, `Group ${unit.group}`, make("small", {}, plural(unit.findings.length, "finding"))), tools));
    node.append(make("div", { className: "members" },
      ...unit.mates.map((row) => member(row, null)),
      ...shown.map((finding) => member(rowOf(finding), finding, !saidOnce))));
    if (saidOnce) node.append(show.because(findings[0]));
    if (findings.length > shown.length) {
      node.append(button(`show all ${count(findings.length)} of this group`, () => { gallery.open.add(unit.group); draw(gallery); }, { className: "rest" }));
    }
    return [node, shown.filter(matches).length];
  }

  let lookThrough = () => {};

  async function draw(gallery) {
    const turn = ++gallery.turn;
    const units = [];
    let shown = 0, folded = 0, matching = 0;
    for (const unit of unitsOf(gallery)) {
      const findings = unit.findings.filter(matches);
      matching += findings.length;
      if (!findings.length || shown >= gallery.limit) continue;
      units.push([unit, findings]);
      const open = gallery.open.has(unit.group);
      shown += open || unit.group < 0 ? findings.length : Math.min(findings.length, OF_A_GROUP);
      folded += open || unit.group < 0 ? 0 : Math.max(0, findings.length - OF_A_GROUP);
    }
    const added = gallery.added.filter(({ row }) => fits(row)).slice(0, gallery.limit);
    await known.ask([...units.flatMap(([unit, findings]) => [...unit.mates, ...(unit.findings.length <= COMPARED ? unit.findings : findings).slice(0, gallery.open.has(unit.group) ? Infinity : OF_A_GROUP).map(rowOf)]), ...added.map(({ row }) => row)]);
    if (turn !== gallery.turn) return matching;  // another drawing has begun meanwhile
    const nodes = document.createDocumentFragment();
    nodes.append(...added.map(({ row, score }) => addedCard(row, score)));
    for (const [unit, findings] of units) {
      const single = findings.length === 1 && unit.findings.length === 1 && !unit.mates.length;
      nodes.append(single ? card(findings[0], gallery) : group(gallery, unit, findings)[0]);
    }
    one(".units", gallery.node).replaceChildren(nodes);
    const more = one(".more", gallery.node);
    more.replaceChildren();
    const left = matching - shown - folded;
    if (left > 0) {
      more.append(button(`show ${count(Math.min(MORE, left))} more`, () => { gallery.limit += MORE; draw(gallery); }),
        make("span", { className: "quiet" }, ` ${count(left)} are not shown yet`));
    }
    gallery.node.hidden = matching + added.length === 0;
    return matching;
  }

  async function drawAll() {
    const matching = await Promise.all(galleries.map(async (gallery) => (await draw(gallery)) * !gallery.mixed));
    const total = matching.reduce((sum, n) => sum + n, 0);
    const narrowed = wanted.text || wanted.verdict || wanted.label !== "" || wanted.split !== "" || wanted.suggested !== "";
    const said = one(".toolbar output");
    if (said) said.textContent = narrowed ? `${plural(total, "finding")} match${total === 1 ? "es" : ""}` : "";
  }

  // --- The toolbar

  const bar = one(".toolbar");
  const search = one("input[type=search]", bar ?? document);
  if (bar) {
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        const text = search.value.trim().toLowerCase();
        wanted.rows = text ? await set.source.search(text) : null;
        wanted.text = text;
        drawAll();
      }, 120);
    });
    for (const select of all("select[data-by]", bar)) {
      fill(select);
      select.addEventListener("change", () => { wanted[select.dataset.by] = select.value; drawAll(); });
    }
    one("select[data-jump]", bar)?.addEventListener("change", ({ target }) => { goTo(target.value); target.value = ""; });
  }

  function fill(select) {
    const option = (value, text) => select.append(make("option", { value }, text));
    const named = (names) => names.forEach((name, i) => option(i, spelled(name) || "none"));
    if (select.dataset.by === "sort") Object.entries(SORTS).forEach(([value, text]) => option(value, text));
    if (select.dataset.by === "label") named(info.classes);
    if (select.dataset.by === "split") named(info.splits);
    if (select.dataset.by === "suggested") {
      [...new Set(columns.finding_suggested)].filter((label) => label >= 0).sort((a, b) => a - b).forEach((label) => option(label, show.labelName(label)));
    }
    select.hidden = select.options.length < 2 || (select.dataset.by === "split" && info.splits.length < 2);
  }

  function clearFilters() {
    Object.assign(wanted, { text: "", rows: null, verdict: "", label: "", split: "", suggested: "" });
    if (!bar) return;
    search.value = "";
    for (const select of all("select[data-by]:not([data-by=sort])", bar)) select.value = "";
  }

  // --- Another threshold: what it adds, what it takes, and the option that makes it so

  for (const gallery of galleries) {
    const slider = one("input[type=range]", gallery.node);
    if (!slider) continue;
    const check = info.checks[gallery.check], said = one("output", slider.closest(".threshold"));
    const flagged = new Set(byCheck[gallery.check].map(rowOf));
    slider.value = check.threshold;
    set.score(check.name).then((scores) => { if (!scores) slider.closest(".threshold").hidden = true; });
    let drawing = 0;
    slider.addEventListener("input", async () => {
      const scores = await set.score(check.name), threshold = +slider.value;
      gallery.added = [];
      gallery.removed = new Set(byCheck[gallery.check].filter((finding) => columns.finding_score[finding] < threshold));
      // What reaches the threshold in use and is not flagged has a reason, which another threshold does not change.
      scores.forEach((score, row) => {
        if (score !== UNKNOWN && score >= threshold && score < check.threshold && !flagged.has(row)) gallery.added.push({ row, score });
      });
      gallery.added.sort((a, b) => b.score - a.score || a.row - b.row);
      const value = (threshold / 100).toFixed(2);
      said.textContent = threshold === check.threshold ? `${value}, as scanned`
        : `${value}: adds ${count(gallery.added.length)}, takes ${count(gallery.removed.size)}; --threshold ${check.name}=${value}`;
      clearTimeout(drawing);
      drawing = setTimeout(() => draw(gallery), 60);
    });
  }

  // --- Going to a gallery: what a filter hides or a limit leaves out is brought back before

  async function goTo(check, groupNumber) {
    const gallery = galleries.find((other) => other.node.id === check);
    if (!gallery) return;
    const unit = () => (groupNumber === undefined ? null : one(`.unit[data-group="${groupNumber}"]`, gallery.node));
    if (gallery.node.hidden || (groupNumber !== undefined && !unit())) {
      clearFilters();
      await drawAll();
    }
    const existing = unitsOf(gallery).some((other) => String(other.group) === groupNumber);
    while (existing && !unit()) { gallery.limit += MORE; await draw(gallery); }
    (unit() || gallery.node).scrollIntoView();
  }

  for (const link of all("a[href^='#check-']")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(link.hash.slice(1), link.dataset.group);
      history.replaceState(null, "", link.hash);
    });
  }

  // What was decided changes tags and, under a filter of verdicts, which findings are shown.
  decisions.subscribe(whenSeen(() => {
    if (wanted.verdict) drawAll();
    else refresh();
  }));

  function refresh() {
    for (const node of all("[data-gallery] [data-row]")) {
      const state = one(".state", node);
      if (!state) continue;
      const row = +node.dataset.row, old = one(".tag.decided", state), now = row < 0 ? null : show.decided(row);
      if (old && now) old.replaceWith(now);
      else if (old) old.remove();
      else if (now) one(".tag", state).after(" ", now);
    }
  }

  // Rows that a gallery shows or would show if it had no limit, in its order.
  function rowsOf(node) {
    const gallery = galleries.find((other) => other.node === node);
    return [...new Set(unitsOf(gallery).flatMap((unit) => unit.findings).filter(matches).map(rowOf))].filter((row) => row >= 0);
  }

  return { drawAll, goTo, search, rowsOf, whenLookedThrough(act) { lookThrough = act; } };
}
