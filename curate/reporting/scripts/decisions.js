// What a person decided: lines of an append-only record, and what of it stands.
//
// A line is {line, id, rows, action, label, when}, or {line, undo}. What was decided together is undone together.

const ACTIONS = { drop: "drop", keep: "keep", relabel: "relabel", not_copies: "not copies", review: "review" };

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
      if (entry.undo !== undefined) undone.add(entry.undo);
      else byLine.set(entry.line, entry);
    }
    last = Math.max(last, line);
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

  const decisions = {
    standing,
    apart,
    of: (row) => standing.get(row) ?? null,
    subscribe(reader) { readers.add(reader); return () => readers.delete(reader); },
    load: () => inTurn(async () => take(await source.decisions.load(last))),

    // entries: [{rows, action, label}]; label a class's number. Of not_copies all rows are of one entry.
    decide: (entries) => inTurn(async () => {
      await known.ask(entries.flatMap((entry) => entry.rows));
      const when = new Date().toISOString().replace(/\.\d+Z$/, "+00:00");
      const lines = entries.flatMap(({ rows, action, label }) => {
        const named = label === undefined || label < 0 ? {} : { label: source.served ? source.info.classes[label] : label };
        const about = (row) => ({ id: known.id(row), digest: known.digest(row) });
        if (action === "not_copies") {
          const ids = rows.map(known.id);
          return [source.served ? { action, ids } : { action, ids, digests: rows.map(known.digest), rows, when }];
        }
        return rows.map((row) => (source.served
          ? { id: known.id(row), action, ...named } : { ...about(row), rows: [row], action, label: -1, ...named, when }));
      });
      const before = last, answer = await source.decisions.append(lines, last);
      take(answer);
      const written = answer.entries.filter((entry) => entry.line > before && entry.undo === undefined).slice(-lines.length);
      steps.push(written.map((entry) => entry.line));
      return answer;
    }),

    undo: () => inTurn(async () => {
      let lines = [];
      while (steps.length && !lines.length) lines = steps.pop().filter((line) => !undone.has(line));
      if (!lines.length) {
        const left = [...byLine.keys()].filter((line) => !undone.has(line));
        lines = left.slice(-1);
      }
      if (!lines.length) return [];
      const rows = lines.flatMap((line) => byLine.get(line).rows);
      take(await source.decisions.undo(lines, last));
      return rows;
    }),

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
      const lines = [...byLine].filter(([line]) => !undone.has(line)).map(([, entry]) => {
        const { line, rows, label, ...kept } = entry;
        return JSON.stringify({ ...kept, ...(entry.action === "relabel" ? { label: source.info.classes[label] } : {}), by: "person", why: entry.why ?? "" });
      });
      return lines.map((line) => line + "\n").join("");
    },
  };

  const again = () => { if (!document.hidden) decisions.load().catch((error) => complain(error)); };
  if (source.served) {
    setInterval(again, 2000);
    addEventListener("visibilitychange", again);
  } else source.decisions.changed(again);
  return decisions;
}

// An error that a person can do something about stands at the foot of the page until the next success.
function complain(error) {
  const place = one("#complaint");
  place.textContent = error.message;
  place.hidden = false;
}
