// What the page knows comes from inside of it, or from the review server. Both carriers answer the same:
//   info                    what the set is: classes, splits, verdicts, checks, columns
//   column(name)            one typed array, of all rows or of all findings
//   details(rows)           [{row, id, digest, because: {finding: sentence}}]
//   thumbnails(rows, side)  Map row -> {url, width, height}, null where a picture cannot be read; absent where there is none
//   original(row)           address of the picture in its full size, null where there is none
//   neighbours(row)         rows of the nearest other pictures
//   search(text)            Set of the rows whose id contains a text
//   decisions               {load(since), append(entries), undo(lines)}: see decisions.js

const ARRAYS = { int32: Int32Array, uint32: Uint32Array, uint16: Uint16Array, uint8: Uint8Array };

function bytesOf(text) {
  const plain = atob(text), bytes = new Uint8Array(plain.length);
  for (let i = 0; i < plain.length; i++) bytes[i] = plain.charCodeAt(i);
  return bytes;
}

function inlinedCarrier() {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data"), pictures = read("pictures");
  const { info } = data;
  const columns = new Map();
  const lowered = data.ids.map((id) => id.toLowerCase());
  const becauseOf = new Map();
  const digests = bytesOf(data.digests);

  function thumbnail(row) {
    const picture = data.picture[row];
    if (picture === data.unreadable) return null;
    if (picture < 0) return undefined;
    const [width, height, beginning] = pictures.beginnings[pictures.kind[picture]];
    return { url: "data:image/jpeg;base64," + beginning + pictures.rests[picture], width, height };
  }

  function hex(row) {
    if (!digests.length) return "";
    return [...digests.subarray(16 * row, 16 * row + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  const places = new Map();  // id -> row, made when it is first asked for
  function rowOf(id) {
    if (!places.size) data.ids.forEach((name, row) => places.set(name, row));
    return places.get(id);
  }

  const carrier = {
    served: false,
    info,
    async column(name) {
      if (!columns.has(name)) columns.set(name, new ARRAYS[info.columns[name][0]](bytesOf(data.columns[name]).buffer));
      return columns.get(name);
    },
    async details(rows) {
      if (!becauseOf.size) {
        const rowOf = await carrier.column("finding_row");
        rowOf.forEach((row, i) => {
          if (!becauseOf.has(row)) becauseOf.set(row, {});
          becauseOf.get(row)[i] = data.sentences[data.because[i]];
        });
      }
      return rows.map((row) => ({ row, id: data.ids[row], digest: hex(row), because: becauseOf.get(row) ?? {} }));
    },
    async thumbnails(rows) {
      const thumbnails = new Map();
      for (const row of rows) {
        const picture = thumbnail(row);
        if (picture !== undefined) thumbnails.set(row, picture);
      }
      return thumbnails;
    },
    original: () => null,
    neighbours: async (row) => data.neighbours[row] ?? [],
    async search(text) {
      const wanted = text.toLowerCase();
      return new Set(lowered.flatMap((id, row) => (id.includes(wanted) ? [row] : [])));
    },
    decisions: keptDecisions(info, rowOf),
  };
  return carrier;
}

async function servedCarrier() {
  const columns = new Map();

  async function answer(address, options) {
    const response = await fetch(address, { cache: "no-store", ...options });
    if (response.ok) return response;
    let words = `${response.status} ${response.statusText}`;
    try { words = (await response.json()).error ?? words; } catch { /* the status says it */ }
    throw new Error(words);
  }

  const info = await (await answer("info")).json();
  return {
    served: true,
    info,
    column(name) {
      if (!columns.has(name)) {
        columns.set(name, answer(`columns/${name}`).then((response) => response.arrayBuffer())
          .then((buffer) => new ARRAYS[info.columns[name][0]](buffer)));
      }
      return columns.get(name);
    },
    details: async (rows) => (rows.length ? (await answer(`details?rows=${rows.join(",")}`)).json() : []),
    async thumbnails(rows, side) {
      const buffer = await (await answer(`thumbnails?rows=${rows.join(",")}&side=${side}`)).arrayBuffer();
      const length = new DataView(buffer).getUint32(0, true);
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
      const thumbnails = new Map();
      let at = 4 + length;
      for (const [row, width, height, bytes] of header) {
        const url = bytes ? URL.createObjectURL(new Blob([new Uint8Array(buffer, at, bytes)], { type: "image/jpeg" })) : null;
        thumbnails.set(row, url && { url, width, height });
        at += bytes;
      }
      return thumbnails;
    },
    original: (row) => `original/${row}`,
    neighbours: async (row) => (await (await answer(`neighbours/${row}`)).json()).rows,
    search: async (text) => new Set((await (await answer(`search?q=${encodeURIComponent(text)}`)).json()).rows),
    decisions: {
      load: async (since) => (await answer(`decisions?after=${since}`)).json(),
      append: async (entries, last) => post({ entries }, last),
      undo: async (lines, last) => post({ undo: lines }, last),
    },
  };

  async function post(body, last) {
    const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return (await answer(`decisions?after=${last}`, options)).json();
  }
}

// Decisions of a page that nobody serves are kept by the browser, and saved as a file. What another tab wrote is read
// before every write; rows are found by their ids, so that what is kept outlives the page that it was decided on.
function keptDecisions(info, rowOf) {
  const key = `trustset decisions ${info.scan}`;
  let lines = [], kept = true;
  const read = () => {
    if (!kept) return;  // the browser has less than this page
    try { lines = JSON.parse(localStorage.getItem(key) ?? "[]"); } catch { kept = false; }
  };
  const known = (entry) => {
    if (entry.undo !== undefined) return entry;
    const rows = (entry.ids ?? [entry.id]).map(rowOf).filter((row) => row !== undefined);
    return { ...entry, rows, label: entry.label === undefined ? -1 : info.classes.indexOf(entry.label) };
  };
  const after = (since) => ({ line: lines.length, entries: lines.slice(since).map((entry, i) => ({ line: since + i + 1, ...known(entry) })) });
  const write = (entries, since) => {
    read();
    const when = new Date().toISOString().replace(/\.\d+Z$/, "+00:00");
    lines = lines.concat(entries.map((entry) => ({ ...entry, why: "", when, by: "person" })));
    try { if (kept) localStorage.setItem(key, JSON.stringify(lines)); } catch { kept = false; }
    if (!kept) setTimeout(() => complain(new Error("Your browser keeps no more: save decisions.jsonl before you close this page.")));
    return after(since);
  };
  return {
    load: async (since) => { read(); return after(since); },
    append: async (entries, since) => write(entries, since),
    undo: async (undone, since) => write(undone.map((line) => ({ undo: line })), since),
    changed: (act) => addEventListener("storage", (event) => { if (event.key === key || event.key === null) act(); }),
  };
}
