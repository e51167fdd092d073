"use strict";
(() => {
  const AT_ONCE = 60;      // pictures of a check shown before "show more"
  const MORE = 120;
  const OF_A_GROUP = 12;   // members of one group shown before its own "show all"
  const COMPARED = 4;      // a group of at most so many is shown whole when one member matches a filter
  const TINY = 48;         // pictures of at most so many pixels are enlarged without smoothing

  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data"), pictures = read("pictures");
  const { rows, findings } = data;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const count = (n) => n.toLocaleString("en-US");
  const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

  function make(tag, properties = {}, ...children) {
    const { data: marks, ...plain } = properties;
    const node = Object.assign(document.createElement(tag), plain);
    Object.assign(node.dataset, marks || {});
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  const labelOf = (row) => spelled(data.classes[rows.label[row]] ?? "");
  const verdictOf = (row) => data.verdicts[rows.verdict[row]];
  // Of the whole set nothing can be dropped.
  const verdictOfFinding = (finding) => (findings.row[finding] < 0 ? "review" : verdictOf(findings.row[finding]));
  const findingsOf = rows.id.map(() => []);
  findings.row.forEach((row, i) => { if (row >= 0) findingsOf[row].push(i); });
  findingsOf.forEach((list) => list.sort((a, b) => findings.check[a] - findings.check[b]));
  const sentence = (finding) => data.sentences[findings.because[finding]];
  const because = (finding) => make("p", { className: "because", title: sentence(finding) }, sentence(finding));

  // Characters that turn the order of letters about are written out, wherever a name is shown.
  const spelled = (text) => text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (letter) => {
      const code = letter.charCodeAt(0).toString(16);
      return code.length > 2 ? "\\u" + code.padStart(4, "0") : "\\x" + code.padStart(2, "0");
    });
  // The end of a path tells more than its beginning.
  const shortened = (id) => (id.length > 26 ? "…" + spelled(id.slice(-25)) : spelled(id));

  function image(row) {
    const picture = row < 0 ? -1 : rows.picture[row];
    if (picture < 0) {
      const unreadable = picture === data.unreadable;
      return make("span", { className: "blank" }, unreadable ? "cannot be read" : "no picture here");
    }
    const [width, height, beginning] = pictures.beginnings[pictures.kind[picture]];
    const tiny = Math.max(width, height) <= TINY;
    return make("img", {
      src: "data:image/jpeg;base64," + beginning + pictures.rests[picture],
      alt: `${rows.id[row]} ${labelOf(row)}`.trim(),
      width, height, decoding: "async", className: (tiny ? "tiny " : "") + (width >= height ? "lying" : "standing"),
    });
  }

  function picture(row) {
    const frame = make("button", { type: "button", className: "picture", title: rows.id[row], data: { row } }, image(row));
    frame.addEventListener("click", () => lookCloser(row, frame));
    return frame;
  }

  const tag = (word) => make("span", { className: `tag ${word}` }, word === "keep" ? "kept" : word);
  const decisions = new Map(rows.decided.map((row, i) => [row, data.verdicts[rows.decision[i]]]));
  // What a person said of a row before stands beside what the scan says.
  const decision = (row) => decisions.has(row)
    ? make("span", { className: `tag decided ${decisions.get(row)}`, title: "a person's decision, which curate apply applies" }, `decided: ${decisions.get(row)}`)
    : null;

  function naming(row) {
    const name = make("p", { className: "name" });
    if (row < 0) name.append(make("b", {}, "the whole set"));
    else {
      name.append(make("b", { title: rows.id[row], dir: "auto" }, shortened(rows.id[row])));
      if (labelOf(row)) name.append(" ", make("span", { className: "label", title: labelOf(row), dir: "auto" }, labelOf(row)));
      if (rows.split[row]) name.append(" ", make("span", { className: "split", title: rows.split[row], dir: "auto" }, rows.split[row]));
    }
    return name;
  }

  const chance = (finding) => findings.chance[finding] === null ? null
    : make("span", { className: "chance", title: "chance that this finding is right" }, `${Math.round(100 * findings.chance[finding])} %`);
  const state = (finding) =>
    make("p", { className: "state" }, tag(verdictOfFinding(finding)), " ", decision(findings.row[finding]), " ",
      make("span", { className: "score", title: "score: 0 fine, 1 certainly bad" }, findings.score[finding].toFixed(2)), " ", chance(finding));
  // Which check it is that speaks, where several do side by side.
  const speaker = (finding) => {
    const [name, title] = data.checks[findings.check[finding]];
    return make("p", { className: "speaker", data: { check: name } }, make("i", { className: "swatch" }), title);
  };

  // --- Galleries

  const wanted = { text: "", verdict: "" };
  const galleries = all("[data-gallery]").map((node) =>
    ({ node, units: data.galleries[+node.dataset.gallery], limit: AT_ONCE, open: new Set(), mixed: node.classList.contains("mixed") }));

  function matches(finding) {
    if (wanted.verdict && verdictOfFinding(finding) !== wanted.verdict) return false;
    if (!wanted.text) return true;
    const row = findings.row[finding];
    return row >= 0 && (rows.id[row].toLowerCase().includes(wanted.text) || labelOf(row).toLowerCase().includes(wanted.text));
  }

  function card(finding, mixed) {
    const row = findings.row[finding];
    return make("article", { className: "unit single" },
      row < 0 ? null : picture(row),
      make("div", {}, naming(row), state(finding), mixed ? speaker(finding) : null, because(finding)));
  }

  function member(row, finding, said) {
    const about = make("div", {}, naming(row), finding === null ? make("p", { className: "state" }, tag(verdictOf(row)), " ", decision(row)) : state(finding));
    if (said && finding !== null) about.append(because(finding));
    const faded = finding !== null && !matches(finding);
    return make("figure", { className: finding === null ? "mate" : faded ? "faded" : "" }, picture(row), about);
  }

  function group(gallery, unit, matching) {
    const found = unit.found.length <= COMPARED ? unit.found : matching;
    const open = gallery.open.has(unit.group);
    const shown = open ? found : found.slice(0, OF_A_GROUP);
    const saidOnce = new Set(found.map((finding) => findings.because[finding])).size === 1;
    const everyone = shown.length + unit.mates.length;
    const apart = !saidOnce && everyone > 4;
    const node = make("article", { className: `unit group${everyone > 4 ? " many" : ""}${apart ? " apart" : ""}`, data: { group: unit.group } });
    if (unit.total > 1 || everyone > 4) {
      node.append(make("h4", {}, `Group ${unit.group}`, make("small", {}, plural(unit.total, "finding"))));
    }
    node.append(make("div", { className: "members" },
      ...unit.mates.map((row) => member(row, null)),
      ...shown.map((finding) => member(findings.row[finding], finding, !saidOnce))));
    if (saidOnce) node.append(because(found[0]));
    if (found.length > shown.length) {
      const rest = make("button", { type: "button", className: "rest" }, `show all ${count(found.length)} of this group`);
      rest.addEventListener("click", () => { gallery.open.add(unit.group); draw(gallery); });
      node.append(rest);
    }
    return [node, shown.filter(matches).length];
  }

  function draw(gallery) {
    const units = document.createDocumentFragment();
    let shown = 0, folded = 0, matching = 0;
    for (const unit of gallery.units) {
      const found = unit.found.filter(matches);
      matching += found.length;
      if (!found.length || shown >= gallery.limit) continue;
      if (found.length === 1 && unit.found.length === 1 && !unit.mates.length) {
        units.append(card(found[0], gallery.mixed));
        shown += 1;
      } else {
        const [node, members] = group(gallery, unit, found);
        units.append(node);
        shown += members;
        folded += found.length - members;
      }
    }
    one(".units", gallery.node).replaceChildren(units);
    const more = one(".more", gallery.node);
    more.replaceChildren();
    const left = matching - shown - folded;
    if (left > 0) {
      const button = make("button", { type: "button" }, `show ${count(Math.min(MORE, left))} more`);
      button.addEventListener("click", () => { gallery.limit += MORE; draw(gallery); });
      more.append(button, make("span", { className: "quiet" }, ` ${count(left)} are not shown yet`));
    }
    gallery.node.hidden = matching === 0;
    return matching;
  }

  function drawGalleries() {
    // What awaits review is among the findings of the checks.
    const matching = galleries.reduce((sum, gallery) => draw(gallery) * !gallery.mixed + sum, 0);
    const said = one(".toolbar output");
    if (said) said.textContent = wanted.text || wanted.verdict ? `${plural(matching, "finding")} match${matching === 1 ? "es" : ""}` : "";
  }

  const search = one(".toolbar input");
  if (search) {
    let waiting = 0;
    search.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { wanted.text = search.value.trim().toLowerCase(); drawGalleries(); }, 120);
    });
    for (const button of all(".toolbar [data-verdict]")) {
      button.addEventListener("click", () => {
        wanted.verdict = button.dataset.verdict;
        choose(button);
        drawGalleries();
      });
    }
  }

  function choose(button) {
    for (const other of all("button", button.parentNode)) other.setAttribute("aria-pressed", other === button);
  }

  for (const strip of all("[data-story]")) {
    for (const together of data.stories[+strip.dataset.story]) {
      strip.append(make("div", { className: together.length > 1 ? "together" : "" }, ...together.map((row) =>
        make("figure", {}, picture(row), make("figcaption", { title: labelOf(row), dir: "auto" }, labelOf(row))))));
    }
  }
  drawGalleries();

  // What a filter hides or a limit leaves out is brought back before going there.
  function goTo(check, group) {
    const gallery = galleries.find((other) => other.node.id === check);
    if (!gallery) return;
    const unit = () => (group === undefined ? null : one(`.unit[data-group="${group}"]`, gallery.node));
    if (gallery.node.hidden || (group !== undefined && !unit())) {
      wanted.text = wanted.verdict = search.value = "";
      choose(one(".toolbar [data-verdict='']"));
      drawGalleries();
    }
    const known = gallery.units.some((other) => String(other.group) === group);
    while (known && !unit()) { gallery.limit += MORE; draw(gallery); }
    (unit() || gallery.node).scrollIntoView();
  }
  for (const link of all("a[href^='#check-']")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(link.hash.slice(1), link.dataset.group);
      history.replaceState(null, "", link.hash);
    });
  }
  one(".toolbar select")?.addEventListener("change", ({ target }) => {
    goTo(target.value);
    target.value = "";
  });

  // --- One picture, larger

  function described(row) {
    const node = make("div", { className: "about" }, naming(row), make("p", { className: "state" }, tag(verdictOf(row)), " ", decision(row)));
    for (const finding of findingsOf[row]) {
      const [name, title] = data.checks[findings.check[finding]];
      node.append(make("p", { className: "because", data: { check: name } },
        make("i", { className: "swatch" }), make("b", {}, title), " ",
        make("span", { className: "score" }, findings.score[finding].toFixed(2)), " ", chance(finding), " ", sentence(finding)));
    }
    return node;
  }

  const closer = one("dialog.closer");
  closer.addEventListener("click", (event) => { if (event.target === closer) closer.close(); });

  // Whether a text is in the clipboard now. A page that comes by plain http is given none: there a selection is copied.
  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = make("textarea", { value: text, readOnly: true, className: "offstage" });
      closer.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  function lookCloser(row, frame) {
    const neighbours = frame ? all(".picture", frame.closest(".check, .strip, .pinned") || document) : [];
    const at = neighbours.indexOf(frame);
    const step = (by) => {
      const next = neighbours[at + by];
      if (next) lookCloser(+next.dataset.row, next);
    };
    const tools = make("p", { className: "tools" });
    const tool = (text, act, disabled = false) => {
      const button = make("button", { type: "button", disabled }, text);
      button.addEventListener("click", act);
      tools.append(button);
    };
    if (neighbours.length > 1) {
      tool("← before", () => step(-1), at <= 0);
      tool("next →", () => step(1), at === neighbours.length - 1);
    }
    if (rows.x[row] !== null && one(".plot")) tool("show on the map", () => { closer.close(); showOnMap(row); });
    const said = make("span", { className: "quiet", role: "status" });
    tool("copy id", async () => { said.textContent = (await copied(rows.id[row])) ? "copied" : "not copied: select the id and copy it by hand"; });
    tool("close", () => closer.close());
    tools.append(said);
    closer.replaceChildren(make("div", { className: "large" }, image(row)), make("div", {}, described(row), tools));
    one(".name b", closer).textContent = spelled(rows.id[row]);
    closer.onkeydown = (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    };
    if (!closer.open) closer.showModal();
    closer.focus();
  }

  // --- The map

  const plot = one(".plot"), legend = one(".legend"), tip = one(".tip"), pinned = one(".pinned");
  const PINS = 12;
  const hidden = new Set();
  let by = "finding", ringed = null;

  const coloured = (check) => {
    const probe = make("i", { className: "swatch", data: { check } });
    document.body.append(probe);
    const colour = getComputedStyle(probe).backgroundColor;
    probe.remove();
    return colour;
  };
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Neighbouring hues would be told apart with difficulty: each class goes on by the golden angle.
  const hue = (i) => `hsl(${Math.round((210 + i * 137.508) % 360)} ${62 - 14 * (Math.floor(i / 7) % 2)}% ${52 + 10 * (Math.floor(i / 3) % 2)}%)`;

  function layers() {
    const placed = rows.x.map((_, row) => row).filter((row) => rows.x[row] !== null);
    const scale = placed.length > 8000 ? 0.7 : 1;
    const bins = new Map();
    const put = (key, row) => { if (!bins.has(key)) bins.set(key, []); bins.get(key).push(row); };
    if (by === "class") {
      placed.forEach((row) => put(rows.label[row], row));
      return [...bins].sort((a, b) => a[0] - b[0]).map(([label, members]) =>
        ({ key: `class ${label}`, name: spelled(data.classes[label] ?? "no label"), rows: members, colour: label < 0 ? token("--fine") : hue(label), size: 5 * scale, opacity: 0.8 }));
    }
    placed.forEach((row) => put(findingsOf[row].length ? findings.check[findingsOf[row][0]] : -1, row));
    // The rarest and most serious last, so that they lie on top.
    return [...bins].sort((a, b) => (a[0] < 0 ? -1 : b[0] < 0 ? 1 : b[0] - a[0])).map(([check, members]) => check < 0
      ? { key: "fine", name: "no finding", rows: members, colour: token("--fine"), size: 4.5 * scale, opacity: 0.75 }
      : { key: data.checks[check][0], name: data.checks[check][1], rows: members, colour: coloured(data.checks[check][0]), size: 7 * scale, opacity: 0.95 });
  }

  function traces(shown) {
    const type = webgl() ? "scattergl" : "scatter";
    const drawn = shown.filter((layer) => !hidden.has(layer.key)).map((layer) => ({
      type, mode: "markers", name: layer.name, hoverinfo: "none", showlegend: false,
      x: layer.rows.map((row) => rows.x[row]), y: layer.rows.map((row) => rows.y[row]), customdata: layer.rows,
      marker: {
        color: layer.colour, size: layer.size, opacity: layer.opacity,
        symbol: layer.key === "fine" || by === "class" ? "circle" : layer.rows.map((row) => (verdictOf(row) === "drop" ? "circle" : "circle-open")),
        line: { width: layer.key === "fine" || by === "class" ? 0 : 1.5, color: layer.colour },
      },
    }));
    if (ringed !== null) {
      drawn.push({ type, mode: "markers", x: [rows.x[ringed]], y: [rows.y[ringed]], hoverinfo: "skip", showlegend: false,
        marker: { symbol: "circle-open", size: 24, color: token("--ink"), line: { width: 2.5, color: token("--ink") } } });
    }
    return drawn;
  }

  let canWebgl = null;
  function webgl() {
    if (canWebgl === null) {
      const context = document.createElement("canvas").getContext("webgl");
      canWebgl = Boolean(context);
      context?.getExtension("WEBGL_lose_context")?.loseContext();
    }
    return canWebgl;
  }

  function drawLegend(shown) {
    const named = by === "class" ? shown : [...shown].reverse();
    legend.replaceChildren(...named.map((layer) => {
      const dot = make("i", { className: "swatch" });
      dot.style.background = layer.colour;
      const button = make("button", { type: "button", title: "show or hide; double-click shows it alone" }, dot, make("bdi", { title: layer.name }, layer.name), make("small", {}, count(layer.rows.length)));
      button.setAttribute("aria-pressed", !hidden.has(layer.key));
      button.addEventListener("click", () => {
        if (!hidden.delete(layer.key)) hidden.add(layer.key);
        drawMap();
      });
      button.addEventListener("dblclick", () => {
        const others = shown.filter((other) => other !== layer);
        const alone = others.every((other) => hidden.has(other.key));
        hidden.clear();
        if (!alone) others.forEach((other) => hidden.add(other.key));
        drawMap();
      });
      return button;
    }));
  }

  function drawMap() {
    const shown = layers();
    drawLegend(shown);
    const axis = { visible: false, zeroline: false, showgrid: false, fixedrange: false };
    const byFinger = matchMedia("(pointer: coarse)").matches;
    const layout = {
      margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      xaxis: axis, yaxis: { ...axis }, hovermode: "closest", hoverdistance: 12,
      dragmode: byFinger ? false : "zoom", uirevision: "kept",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: token("--muted"), activecolor: token("--ink") },
    };
    const config = {
      responsive: true, displaylogo: false, displayModeBar: true, doubleClick: "reset",
      // Named one by one: the default bar has a button that uploads the chart.
      modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]], showSendToCloud: false, plotlyServerURL: "",
    };
    return Plotly.react(plot, traces(shown), layout, config);
  }

  function showTip(row, event) {
    tip.replaceChildren(image(row), described(row));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const { clientX, clientY } = event ?? { clientX: innerWidth / 2, clientY: innerHeight / 2 };
    const left = clientX + 16 + box.width > innerWidth ? clientX - box.width - 16 : clientX + 16;
    const top = Math.min(clientY + 16, innerHeight - box.height - 8);
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${Math.max(8, top)}px`;
  }

  function pin(row) {
    one(".hint", pinned)?.remove();
    one(`[data-pin="${row}"]`, pinned)?.remove();
    const away = make("button", { type: "button", className: "away", title: "remove" }, "×");
    away.setAttribute("aria-label", "remove");
    const node = make("article", { data: { pin: row } }, picture(row), described(row), away);
    away.addEventListener("click", () => { node.remove(); if (ringed === row) { ringed = null; drawMap(); } });
    pinned.prepend(node);
    while (pinned.children.length > PINS) pinned.lastElementChild.remove();
  }

  function showOnMap(row) {
    ringed = row;
    pin(row);
    drawMap();
    document.getElementById("map").scrollIntoView({ behavior: "smooth" });
  }

  function openMap() {
    // Only now, so that the page is there to be read before the library is.
    const library = make("script", { textContent: document.getElementById("plotly").textContent });
    document.head.append(library);
    if (!window.Plotly) {
      plot.textContent = "The map cannot be drawn: its library is missing.";
      return;
    }
    drawMap().then(() => {
      plot.on("plotly_hover", ({ points, event }) => showTip(points[0].customdata, event));
      plot.on("plotly_unhover", () => { tip.hidden = true; });
      plot.on("plotly_click", ({ points }) => { tip.hidden = true; ringed = points[0].customdata; pin(ringed); drawMap(); });
      plot.dataset.drawn = webgl() ? "scattergl" : "scatter";
    });
    for (const button of all("[data-by]")) {
      button.addEventListener("click", () => { by = button.dataset.by; hidden.clear(); choose(button); drawMap(); });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
    addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  }

  // The second frame: only then has the first been painted.
  if (plot) requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(openMap, 50)));

  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = all("details:not([open])");
    for (const fold of unfolded) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of unfolded) fold.open = false; });
})();
