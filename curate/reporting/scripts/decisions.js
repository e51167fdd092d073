// What a person decided: lines of an append-only record, and what of it stands.
//
// A line is {line, rows, action, label, why, when}, or {line, undo}. What was decided together is undone together.

const PAST = { drop: "dropped", keep: "kept", relabel: "relabelled", not_copies: "told apart", review: "to review" };
const POLL = 2000;  // milliseconds between two questions for what others decided

function decisionsOf(source, known) {
  const byLine = new Map();     // line -> decision
  const undone = new Set();     // lines taken back
  const standing = new Map();   // row -> decision in force
  const apart = new Map();      // row -> decision that says it is no copy
  const steps = [];             // lines of what this page decided, together as it was
  const readers = new Set();
  let last = 0, waiting = Promise.resolve();

  function take({ line, entries }) {
    for (const entry of entries) {
      if (entry.undo !== undefined) for (const number of [entry.undo].flat()) undone.add(number);
      else byLine.set(entry.line, entry);
    }
    last = Math.max(last, line);
    if (!entries.length) return;
    standing.clear();
    apart.clear();
    for (const [number, entry] of byLine) {
      if (undone.has(number)) continue;
      for (const row of entry.rows) (entry.action === "not_copies" ? apart : standing).set(row, entry);
    }
    for (const reader of readers) reader();
  }

  // One after the other: what is written second may depend on what was written first.
  function inTurn(act) {
    const result = waiting.then(act);
    waiting = result.catch(() => {});
    return result;
  }

  const named = (label) => (label === undefined || label < 0 ? {} : { label: source.info.classes[label] });

  // Rows of pictures of which no two have the same pixels.
  function distinct(rows) {
    const seen = new Map();
    for (const row of rows) if (known.digest(row) && !seen.has(known.digest(row))) seen.set(known.digest(row), row);
    return [...seen.values()];
  }

  // As the review server takes them; what is kept by the browser has besides what the file is to say.
  function proposed({ rows, action, label }) {
    if (action === "not_copies") {
      const apart = distinct(rows), ids = apart.map(known.id);
      if (apart.length < 2) {
        throw new Error(`${rows.slice(0, 3).map((row) => spelled(known.id(row))).join(", ")} have the same pixels, so that they are copies of each other in any case. To have all in the clean set, keep them.`);
      }
      return [source.served ? { action, ids } : { action, ids, digests: apart.map(known.digest) }];
    }
    return rows.map((row) => {
      const entry = { id: known.id(row), action, ...named(label) };
      return source.served ? entry : { ...entry, digest: known.digest(row), given: known.given(row) };
    });
  }

  async function takeBack(lines) {
    if (!lines.length) return [];
    const rows = lines.flatMap((line) => byLine.get(line).rows);
    take(await source.decisions.undo(lines, last));
    relieve();
    return rows;
  }

  const decisions = {
    standing,
    apart,
    of: (row) => standing.get(row) ?? null,
    distinct,
    subscribe(reader) { readers.add(reader); return () => readers.delete(reader); },
    load: () => inTurn(async () => take(await source.decisions.load(last))),

    // entries: [{rows, action, label}]; label a class's number. Of not_copies all rows are of one entry.
    decide: (entries) => inTurn(async () => {
      await known.ask(entries.flatMap((entry) => entry.rows));
      const lines = entries.flatMap(proposed);
      const before = last, answer = await source.decisions.append(lines, last);
      take(answer);
      const written = answer.entries.filter((entry) => entry.line > before && entry.undo === undefined).slice(-lines.length);
      steps.push(written.map((entry) => entry.line));
      relieve();
      return answer;
    }),

    // The last step that this page took, or the last line of all; the rows that it was about.
    undo: () => inTurn(async () => {
      let lines = [];
      while (steps.length && !lines.length) lines = steps.pop().filter((line) => !undone.has(line));
      if (!lines.length) lines = [...byLine.keys()].filter((line) => !undone.has(line)).slice(-1);
      return takeBack(lines);
    }),
    takeBack: (lines) => inTurn(() => takeBack(lines.filter((line) => byLine.has(line) && !undone.has(line)))),

    // Those in force, the newest first.
    list: () => [...new Set([...standing.values(), ...apart.values()])].sort((a, b) => b.line - a.line),

    // How many stand of each kind.
    counts() {
      const counts = {};
      for (const decision of standing.values()) counts[decision.action] = (counts[decision.action] ?? 0) + 1;
      const told = new Set(apart.values()).size;
      if (told) counts.not_copies = told;
      return counts;
    },

    // The text of a decisions.jsonl that `curate apply --from` takes.
    text() {
      const lines = [...byLine.values()].filter((entry) => !undone.has(entry.line));
      return lines.map((entry) => {
        const { line, rows, label, ...kept } = entry;
        return `${JSON.stringify({ ...kept, ...(entry.action === "relabel" ? named(label) : {}) })}\n`;
      }).join("");
    },
  };

  const again = () => { if (!document.hidden) decisions.load().catch(complain); };
  if (source.served) {
    setInterval(again, POLL);
    addEventListener("visibilitychange", again);
  } else source.decisions.changed(again);
  return decisions;
}

// How many of each kind, in words.
const inWords = (counts) => Object.keys(PAST).filter((action) => counts[action]).map((action) => `${count(counts[action])} ${PAST[action]}`).join(", ");
