// What the points of the map look like: colours, shapes, sizes, and where they are found.

// Okabe and Ito (2008), but black; the one that is faint on white comes last.
const MAP_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442"];
// From low to high by lightness alone, which any eye tells apart; what is high stands out from the paper.
const MAP_SCALES = {
  light: ["#dad7cf", "#dcc9a0", "#dfb469", "#dc9744", "#ca752a", "#ab5420", "#863a1c", "#5f2517", "#3a140f"],
  dark: ["#3d4653", "#46607f", "#547c9c", "#6b97b3", "#8cb3b6", "#b0c8ab", "#d3d99a", "#f0e68a", "#fff6b0"],
};
// Seven colours and six shapes: 42 classes before a pair comes again.
const MAP_SHAPES = ["disc", "square", "triangle", "diamond", "cross", "wedge"];
const MAP_WORDS = { keep: "kept", review: "to review", drop: "dropped" };

// Whether (x, y) lies within a shape of about the area of a disc with radius 1.
const MAP_INSIDE = {
  disc: (x, y) => x * x + y * y <= 1,
  square: (x, y) => Math.abs(x) <= 0.89 && Math.abs(y) <= 0.89,
  diamond: (x, y) => Math.abs(x) + Math.abs(y) <= 1.25,
  triangle: (x, y) => y <= 0.85 && y >= -1.2 && Math.abs(x) <= (y + 1.2) * 0.64,
  wedge: (x, y) => MAP_INSIDE.triangle(x, -y),
  cross: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 1.15 && Math.min(Math.abs(x), Math.abs(y)) <= 0.45,
};

// The points by their cells of a grid, to find the nearest, and those within something.
function makeMapIndex(x, y) {
  const SIDE = 256, cell = (at) => at >> 8;
  const starts = new Uint32Array(SIDE * SIDE + 1);
  const placed = (row) => x[row] !== NOWHERE && y[row] !== NOWHERE;
  for (let row = 0; row < x.length; row++) if (placed(row)) starts[cell(y[row]) * SIDE + cell(x[row]) + 1]++;
  for (let i = 0; i < SIDE * SIDE; i++) starts[i + 1] += starts[i];
  const next = starts.slice(), rows = new Int32Array(starts[SIDE * SIDE]);
  for (let row = 0; row < x.length; row++) if (placed(row)) rows[next[cell(y[row]) * SIDE + cell(x[row])]++] = row;
  const clamp = (at) => Math.max(0, Math.min(SIDE - 1, Math.floor(at / 256)));

  function within(left, bottom, right, top, visit) {
    for (let j = clamp(bottom); j <= clamp(top); j++) {
      const from = starts[j * SIDE + clamp(left)], to = starts[j * SIDE + clamp(right) + 1];
      for (let i = from; i < to; i++) {
        const row = rows[i];
        if (x[row] >= left && x[row] <= right && y[row] >= bottom && y[row] <= top) visit(row);
      }
    }
  }
  return { rows, within };
}

// What a point looks like: offsets into the pixels, once in whole pixels and once with a soft edge.
function makeMapSprite({ shape, hollow, rimless }, radius, stride, fill, border, edge) {
  const inside = MAP_INSIDE[shape], reach = Math.ceil(radius * 1.3) + 1, line = Math.max(1.3 * edge, radius * 0.28);
  const plain = [], plainInk = [], solid = [], solidInk = [], soft = [], softInk = [], softness = [];
  const covered = (dx, dy, r) => {
    let sum = 0;
    for (let i = 0; i < 16; i++) {
      const sx = dx + ((i & 3) + 0.5) / 4 - 0.5, sy = dy + ((i >> 2) + 0.5) / 4 - 0.5;
      if (r > 0.2 && inside(sx / r, sy / r)) sum++;
    }
    return sum / 16;
  };
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const whole = covered(dx, dy, radius), core = covered(dx, dy, radius - line);
      const share = hollow ? whole - core : whole;
      const rim = radius >= 2.5 * edge && !hollow && !rimless && covered(dx, dy, radius - edge) < 0.6;
      const at = dy * stride + dx, ink = rim ? border : fill;
      if (share >= 0.5) { plain.push(at); plainInk.push(ink); }
      if (share > 0.95) { solid.push(at); solidInk.push(ink); }
      else if (share > 0.04) { soft.push(at); softInk.push(ink); softness.push(Math.round(256 * share)); }
    }
  }
  if (!plain.length) { plain.push(0); plainInk.push(fill); }
  return {
    plain: Int32Array.from(plain), plainInk: Uint32Array.from(plainInk),
    solid: Int32Array.from(solid), solidInk: Uint32Array.from(solidInk),
    soft: Int32Array.from(soft), softInk: Uint32Array.from(softInk), softness: Uint16Array.from(softness),
  };
}

// How points are told apart: entries of the legend; keys in the order in which they are drawn, each a colour, a shape,
// whether it is hollow, its size beside the others and its entry; and the key of every row.
function makeMapColouring(by, columns, info, token, isDark) {
  const { label, split, verdict } = columns, n = verdict.length, of = new Uint16Array(n);
  const quiet = { colour: token("--fine"), shape: "disc", hollow: false, size: 0.85, rimless: true };
  const marked = (i) => ({ colour: MAP_COLOURS[i % 7], shape: MAP_SHAPES[i % 6], hollow: false, size: 1 });
  const byNumber = (values, names, without) => {
    const keys = [{ ...quiet, entry: names.length }, ...names.map((_, i) => ({ ...marked(i), entry: i }))];
    for (let row = 0; row < n; row++) of[row] = values[row] < names.length && values[row] >= 0 ? values[row] + 1 : 0;
    return { keys, of, entries: [...names, without], mixed: true };
  };
  if (by === "class") return byNumber(label, info.classes, "no label");
  if (by === "split") return byNumber(split, info.splits, "no split");
  if (by === "verdict") {
    const look = { keep: { ...quiet, colour: token("--keep") }, review: { colour: token("--review"), shape: "disc", hollow: true, size: 1.25 },
      drop: { colour: token("--drop"), shape: "diamond", hollow: false, size: 1.25 } };
    for (let row = 0; row < n; row++) of[row] = verdict[row];
    return { keys: info.verdicts.map((name, entry) => ({ ...(look[name] ?? quiet), entry })), of, entries: info.verdicts.map((name) => MAP_WORDS[name] ?? name) };
  }
  if (by.startsWith("score:")) {
    const score = columns[`score_${by.slice(6)}`], scale = isDark ? MAP_SCALES.dark : MAP_SCALES.light, steps = 20;
    const tint = (i) => scale[Math.round((i * (scale.length - 1)) / (steps - 1))];
    for (let row = 0; row < n; row++) of[row] = score[row] === UNKNOWN ? 0 : 1 + Math.min(steps - 1, Math.floor(score[row] / 5));
    const keys = [{ ...quiet, hollow: true, entry: 5 }];
    for (let i = 0; i < steps; i++) keys.push({ colour: tint(i), shape: "disc", hollow: false, size: 1, entry: Math.floor(i / 4) });
    return { keys, of, entries: ["below 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 and more", "no score"] };
  }
  // By finding: the gravest of a row. What is dropped is filled, what awaits review is a ring.
  const checks = info.checks, drop = info.verdicts.indexOf("drop"), gravest = new Uint8Array(n).fill(255);
  const { finding_row: rows, finding_check: which } = columns;
  for (let i = 0; i < rows.length; i++) if (rows[i] >= 0 && which[i] < gravest[rows[i]]) gravest[rows[i]] = which[i];
  const keys = [{ ...quiet, entry: checks.length }];
  for (let i = checks.length - 1; i >= 0; i--) {
    const look = { colour: checks[i].colour, shape: MAP_SHAPES[i % 6], size: 1.2, entry: i };
    keys.push({ ...look, hollow: true }, { ...look, hollow: false });
  }
  for (let row = 0; row < n; row++) {
    of[row] = gravest[row] === 255 ? 0 : 1 + 2 * (checks.length - 1 - gravest[row]) + (verdict[row] === drop ? 1 : 0);
  }
  return { keys, of, entries: [...checks.map((check) => check.title), "no finding"] };
}
