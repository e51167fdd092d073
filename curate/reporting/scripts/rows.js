// Rows of the set as they are shown: pictures that come when they are needed, names, tags and sentences.

const TYPICAL = 3;  // pictures that show a class

// What is known of rows in words, asked for once.
function knowledgeOf(source, labels) {
  const AT_ONCE = 500;
  const known = new Map();
  return {
    async ask(rows) {
      const missing = [...new Set(rows)].filter((row) => row >= 0 && !known.has(row));
      for (let i = 0; i < missing.length; i += AT_ONCE) {
        for (const entry of await source.details(missing.slice(i, i + AT_ONCE))) known.set(entry.row, entry);
      }
    },
    id: (row) => known.get(row)?.id ?? "",
    digest: (row) => known.get(row)?.digest ?? "",
    given: (row) => source.info.classes[labels[row]] ?? "",
    because: (row, finding) => (row < 0 ? source.info.because[finding] : known.get(row)?.because[finding]) ?? "",
  };
}

// Thumbnails, asked for in packs: of all that come up in one turn one pack.
function thumbnailsOf(source) {
  const known = new Map();   // row and side -> promise of {url, width, height} | null | undefined
  const waiting = new Map(); // side -> [[row, resolve]]
  const PACK = 60, HELD = 6000;

  // The oldest make room: whoever looks through a large set would fill the memory.
  function makeRoom() {
    while (known.size > HELD) {
      const [key, picture] = known.entries().next().value;
      known.delete(key);
      picture.then((old) => { if (old?.url.startsWith("blob:")) URL.revokeObjectURL(old.url); });
    }
  }

  async function fetchPack(side) {
    const wanted = waiting.get(side);
    waiting.delete(side);
    for (let i = 0; i < wanted.length; i += PACK) {
      const pack = wanted.slice(i, i + PACK);
      let thumbnails = new Map();
      try { thumbnails = await source.thumbnails(pack.map(([row]) => row), side); } catch (error) { complain(error); }
      for (const [row, resolve] of pack) resolve(thumbnails.get(row));
    }
  }

  return (row, side = 96) => {
    const key = `${row} ${side}`;
    if (!known.has(key)) {
      makeRoom();
      known.set(key, new Promise((resolve) => {
        if (!waiting.has(side)) { waiting.set(side, []); setTimeout(() => fetchPack(side), 0); }
        waiting.get(side).push([row, resolve]);
      }));
    }
    return known.get(key);
  };
}

// All that shows a row, on the columns of a set.
function presentation(set, known, decisions, thumbnail) {
  const { info, columns } = set;
  const labelName = (label) => spelled(info.classes[label] ?? "");
  const labelOf = (row) => labelName(columns.label[row]);
  const verdictOf = (row) => info.verdicts[columns.verdict[row]];
  const checkOf = (finding) => info.checks[columns.finding_check[finding]];

  // The verdict with what a person decided.
  function verdictNow(row) {
    const decision = decisions.of(row);
    if (!decision) return verdictOf(row);
    return decision.action === "relabel" ? "keep" : decision.action;
  }

  // A frame that takes the picture once it is there.
  function image(row, side) {
    const frame = make("span", { className: "frame" });
    if (row < 0) return make("span", { className: "blank" }, "the whole set");
    thumbnail(row, side).then((picture) => {
      if (!picture) {
        frame.replaceWith(make("span", { className: "blank" }, picture === null ? "cannot be read" : "no picture here"));
        return;
      }
      const { url, width, height } = picture;
      frame.replaceWith(make("img", {
        src: url, width, height, decoding: "async", alt: `${known.id(row)} ${labelOf(row)}`.trim(),
        className: `${Math.max(width, height) <= TINY ? "tiny " : ""}${width >= height ? "lying" : "standing"}`,
      }));
    });
    return frame;
  }

  // The frames beside a picture are those that one may step to from it.
  function picture(row, look, side) {
    const frame = make("button", { type: "button", className: "picture", data: { row } }, image(row, side));
    known.ask([row]).then(() => {
      frame.title = known.id(row);
      frame.setAttribute("aria-label", `look closer at ${spelled(known.id(row))} ${labelOf(row)}`.trim());
    });
    frame.addEventListener("click", () => look(row, frame));
    return frame;
  }

  const tag = (word) => make("span", { className: `tag ${word}` }, word === "keep" ? "kept" : word);

  function decided(row) {
    const decision = decisions.of(row), apart = decisions.apart.get(row);
    if (!decision && !apart) return null;
    const words = [];
    if (decision) words.push(decision.action === "relabel" ? `relabelled ${labelName(decision.label)}` : `decided: ${decision.action}`);
    if (apart) words.push("no copy");
    return make("span", { className: `tag decided ${decision ? verdictNow(row) : ""}`, title: "a person's decision" }, words.join(", "));
  }

  function naming(row, whole = false) {
    const name = make("p", { className: "name" });
    if (row < 0) return make("p", { className: "name" }, make("b", {}, "the whole set"));
    const id = known.id(row), split = info.splits[columns.split[row]];
    name.append(make("b", { title: id, dir: "auto" }, whole ? spelled(id) : shortened(id)));
    if (labelOf(row)) name.append(" ", make("span", { className: "label", title: labelOf(row), dir: "auto" }, labelOf(row)));
    if (split) name.append(" ", make("span", { className: "split", title: split, dir: "auto" }, spelled(split)));
    return name;
  }

  const share = (hundredths) => (hundredths === UNKNOWN ? null
    : make("span", { className: "chance", title: "chance that this finding is right" }, `${hundredths} %`));
  const score = (finding) => make("span", { className: "score", title: "score: 0 fine, 1 certainly bad" },
    (columns.finding_score[finding] / 100).toFixed(2));

  function state(row, finding = null) {
    const node = make("p", { className: "state" }, tag(row < 0 ? "review" : verdictOf(row)), " ", row < 0 ? null : decided(row));
    if (finding !== null) node.append(" ", score(finding), " ", share(columns.finding_chance[finding]) ?? "");
    return node;
  }

  const sentence = (finding) => known.because(columns.finding_row[finding], finding);
  const because = (finding) => make("p", { className: "because", title: sentence(finding) }, sentence(finding));
  const speaker = (finding) => make("p", { className: "speaker", data: { check: checkOf(finding).name } },
    make("i", { className: "swatch" }), checkOf(finding).title);

  // All that is said of a row.
  function described(row, whole = false) {
    const node = make("div", { className: "about" }, naming(row, whole), state(row));
    for (const finding of set.findingsOf(row)) {
      node.append(make("p", { className: "because", data: { check: checkOf(finding).name } },
        make("i", { className: "swatch" }), make("b", {}, checkOf(finding).title), " ", score(finding), " ",
        share(columns.finding_chance[finding]) ?? "", " ", sentence(finding)));
    }
    return node;
  }

  return { labelName, labelOf, verdictOf, verdictNow, checkOf, image, picture, tag, decided, naming, state, sentence, because, speaker, described };
}

// The columns of a set, and what follows from them.
async function setOf(source) {
  const { info } = source;
  const columns = {};
  const scores = Object.keys(info.columns).filter((name) => name.startsWith("score_"));
  const wanted = Object.keys(info.columns).filter((name) => !scores.includes(name));
  await Promise.all(wanted.map(async (name) => { columns[name] = await source.column(name); }));

  // The findings of each row side by side, the gravest check first.
  const order = Int32Array.from(columns.finding_row.keys()).filter((i) => columns.finding_row[i] >= 0)
    .sort((a, b) => columns.finding_row[a] - columns.finding_row[b] || columns.finding_check[a] - columns.finding_check[b]);
  const spans = new Map();
  order.forEach((finding, i) => {
    const span = spans.get(columns.finding_row[finding]);
    if (span) span[1] = i + 1;
    else spans.set(columns.finding_row[finding], [i, i + 1]);
  });
  const copies = new Map();
  columns.group.forEach((group, row) => {
    if (group < 0) return;
    if (!copies.has(group)) copies.set(group, []);
    copies.get(group).push(row);
  });

  return {
    info,
    columns,
    source,
    findingsOf: (row) => (spans.has(row) ? [...order.subarray(...spans.get(row))] : []),
    flagged: (row) => spans.has(row),
    membersOf: (group) => copies.get(group) ?? [],
    copiesOf: (row) => (columns.group[row] < 0 ? [row] : copies.get(columns.group[row])),
    typical: (label) => (label < 0 ? [] : [...columns.typical.subarray(label * TYPICAL, (label + 1) * TYPICAL)].filter((row) => row >= 0)),
    score: (check) => (scores.includes(`score_${check}`) ? source.column(`score_${check}`) : Promise.resolve(null)),
  };
}
