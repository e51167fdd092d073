// The map: points drawn into the pixels of a canvas, by the processor, without a library. Where rendering is done in
// software, a program of WebGL takes many times as long for the same points (benchmarks/maps.py).

// A map within `node`. It takes what it shows from the columns of `source` and tells of what is done by `actions`:
// hover(row or null, x, y), pick(row), select(rows as Int32Array). Any of them may be left out.
async function makeMap(node, source, actions = {}) {
  const info = source.info;
  const names = ["x", "y", "stands_for", "label", "split", "verdict", "finding_row", "finding_check"];
  const columns = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await source.column(name)])));
  const { x, y, stands_for: standsFor } = columns, n = x.length;
  const index = makeMapIndex(x, y);

  // --- Its parts

  const canvas = make("canvas", { aria: { hidden: "true" } });
  const stage = make("div", { className: "map-stage", tabIndex: 0, aria: { role: "application", roledescription: "map of points",
    label: `Map of ${count(index.rows.length)} images. Arrow keys go from point to point, Enter shows one, space selects it, plus and minus zoom, 0 shows all.` } }, canvas);
  const said = make("p", { className: "map-said", aria: { live: "polite" } });
  const legend = make("div", { className: "map-legend", aria: { role: "group", label: "Legend: what is shown" } });
  const choice = make("select", { className: "map-by" });
  const tools = make("div", { className: "map-tools", aria: { role: "toolbar", label: "Tools of the map" } });
  node.classList.add("map");
  node.replaceChildren(make("div", { className: "map-bar" }, make("label", {}, "Colour by ", choice), tools), stage, legend, said);
  const ways = [["finding", "finding"], ["verdict", "verdict"], ["class", "class"], ["split", "split"]].filter(([by]) =>
    (by === "class" ? info.classes : by === "split" ? info.splits : by === "finding" ? info.checks : info.verdicts).some(Boolean));
  choice.append(...ways.map(([value, text]) => make("option", { value }, text)));
  const scored = info.checks.filter((check) => `score_${check.name}` in info.columns);
  if (scored.length) {
    choice.append(make("optgroup", { label: "score of" }, ...scored.map((check) => make("option", { value: `score:${check.name}` }, check.title))));
  }

  // --- What is shown

  const coarse = matchMedia("(pointer: coarse)"), dark = matchMedia("(prefers-color-scheme: dark)"), forced = matchMedia("(forced-colors: active)");
  const SIZES = 11, ORDER = coprimeStep(n);
  let by = ways[0][0], colouring = null, mask = null, chosen = null, ringed = -1, cursor = -1, tool = coarse.matches ? "" : "move";
  const hidden = new Set(), visible = new Uint8Array(n);
  let drawnX = new Uint16Array(0), drawnY = drawnX, drawnStyle = new Uint32Array(0), drawn = 0, biggest = 0;

  // A step through the rows that comes to all of them in an order that has nothing to do with theirs.
  function coprimeStep(total) {
    const common = (a, b) => (b ? common(b, a % b) : a);
    let step = Math.max(1, Math.round(total * 0.6180339887));
    while (common(step, total) !== 1) step++;
    return step;
  }

  const sizeOf = (row) => Math.min(SIZES - 1, Math.round(2 * Math.log2(Math.max(1, standsFor[row]))));

  // Which points are drawn, in the order of drawing: those that are not selected beneath, then key after key.
  function arrange() {
    const { keys, of, mixed } = colouring, K = keys.length, ends = new Uint32Array(2 * K + 1);
    const shown = keys.map((key) => !hidden.has(key.entry));
    const layer = (row) => (chosen && !chosen[row] ? 0 : K) + (mixed ? 0 : of[row]);
    drawn = 0;
    for (let row = 0; row < n; row++) {
      visible[row] = x[row] !== NOWHERE && y[row] !== NOWHERE && shown[of[row]] && (!mask || mask[row]) ? 1 : 0;
      if (visible[row]) { ends[layer(row) + 1]++; drawn++; }
    }
    for (let i = 0; i < 2 * K; i++) ends[i + 1] += ends[i];
    if (drawnX.length < drawn) [drawnX, drawnY, drawnStyle] = [new Uint16Array(drawn), new Uint16Array(drawn), new Uint32Array(drawn)];
    biggest = 0;
    for (let i = 0, row = 0; i < n; i++, row = (row + ORDER) % n) {
      if (!visible[row]) continue;
      const at = ends[layer(row)]++, size = sizeOf(row);
      drawnX[at] = x[row];
      drawnY[at] = y[row];
      drawnStyle[at] = ((chosen && !chosen[row] ? 0 : K) + of[row]) * SIZES + size;
      if (size > biggest) biggest = size;
    }
  }

  // --- Colours

  let paper = 0, sprites = [], spriteRadius = 0;
  const kept = new Map();
  const probe = make("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const token = (name) => getComputedStyle(node).getPropertyValue(name).trim() || "#888888";
  function rgb(colour) {
    if (!kept.has(colour)) {
      probe.fillStyle = "#888888";
      probe.fillStyle = colour;
      probe.fillRect(0, 0, 1, 1);
      kept.set(colour, [...probe.getImageData(0, 0, 1, 1).data.subarray(0, 3)]);
    }
    return kept.get(colour);
  }
  const packed = ([r, g, b]) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  const between = (a, b, share) => a.map((value, i) => Math.round(value + (b[i] - value) * share));
  // Where a person's own colours are forced, shapes alone tell keys apart.
  const own = (key) => (forced.matches ? (key.entry === colouring.entries.length - 1 ? "GrayText" : "CanvasText") : key.colour);

  function recolour() {
    kept.clear();
    const under = forced.matches ? "Canvas" : token("--card");
    paper = rgb(under);
    colouring = makeMapColouring(by, columns, info, token, dark.matches);
    sprites = [];
    arrange();
    drawLegend();
    ask();
  }

  // Fewer points are larger, and all grow a little with the zoom.
  function radius() {
    const base = drawn <= 1500 ? 5 : drawn <= 5000 ? 4 : drawn <= 20000 ? 3 : drawn <= 100000 ? 2.2 : drawn <= 400000 ? 1.5 : 1;
    const small = Math.max(0.7, Math.min(1, Math.sqrt((width * height) / 500000)));
    const closer = Math.min(2.6, Math.max(1, view.k / home.k) ** 0.35);
    return Math.max(0.5, Math.round(2 * Math.min(9, base * closer * small) * ratio) / 2);
  }

  function sprite(style) {
    const size = style % SIZES, key = Math.floor(style / SIZES), K = colouring.keys.length, dimmed = key < K;
    const look = colouring.keys[key % K], ink = rgb(own(look));
    const fill = dimmed ? between(ink, paper, 0.82) : ink, border = between(fill, dimmed ? paper : [0, 0, 0], 0.38);
    const larger = Math.min(20 * ratio, spriteRadius * 2 ** (size / 4));
    return (sprites[style] = makeMapSprite(look, larger * (look.size ?? 1), stride, packed(fill), packed(border), ratio));
  }

  // --- Drawing

  const home = { k: 1, x: 0, y: 0 }, view = { k: 1, x: 0, y: 0 };
  let ratio = 1, width = 0, height = 0, stretch = { x: 1, y: 1 }, bounds = null;
  let context = null, image = null, pixels = null, stride = 0, margin = 0;
  let waiting = 0, settling = 0, costly = false, hasMoved = false, perPoint = 0;

  const toX = (at) => at * view.k * stretch.x + view.x;
  const toY = (at) => view.y - at * view.k * stretch.y;
  const fromX = (at) => (at - view.x) / (view.k * stretch.x);
  const fromY = (at) => (view.y - at) / (view.k * stretch.y);

  function extent() {
    let left = Infinity, right = -Infinity, bottom = Infinity, top = -Infinity;
    for (const row of index.rows) {
      if (x[row] < left) left = x[row];
      if (x[row] > right) right = x[row];
      if (y[row] < bottom) bottom = y[row];
      if (y[row] > top) top = y[row];
    }
    return index.rows.length ? { left, right, bottom, top } : { left: 0, right: 1, bottom: 0, top: 1 };
  }

  // All of it in sight; one axis may be drawn up to 1.4 times as long as the other, as the map's have no unit.
  function fit() {
    bounds ??= extent();
    const gap = Math.min(28, width / 16), wide = Math.max(1, bounds.right - bounds.left), high = Math.max(1, bounds.top - bounds.bottom);
    const kx = (width - 2 * gap) / wide, ky = (height - 2 * gap) / high;
    home.k = Math.min(kx, ky);
    stretch = { x: Math.min(1.4, kx / home.k), y: Math.min(1.4, ky / home.k) };
    home.x = width / 2 - ((bounds.left + bounds.right) / 2) * home.k * stretch.x;
    home.y = height / 2 + ((bounds.bottom + bounds.top) / 2) * home.k * stretch.y;
  }

  function resize() {
    const box = stage.getBoundingClientRect(), atHome = view.k === home.k && view.x === home.x && view.y === home.y;
    const middle = width ? [fromX(width / 2), fromY(height / 2), view.k / home.k] : null;
    if (!box.width || !box.height) return;
    [width, height, ratio] = [box.width, box.height, Math.min(2, window.devicePixelRatio || 1)];
    margin = Math.ceil(36 * ratio);
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    stride = canvas.width + 2 * margin;
    context = canvas.getContext("2d", { alpha: false });
    image = context.createImageData(stride, canvas.height + 2 * margin);
    pixels = new Uint32Array(image.data.buffer);
    sprites = [];
    fit();
    if (atHome || !middle) Object.assign(view, home);
    else {
      view.k = home.k * middle[2];
      view.x = width / 2 - middle[0] * view.k * stretch.x;
      view.y = height / 2 + middle[1] * view.k * stretch.y;
    }
    ask();
  }

  function ask(moving = false) {
    hasMoved ||= moving;
    if (!waiting) waiting = requestAnimationFrame(paint);
  }

  function paint() {
    const soft = !(hasMoved && costly), began = performance.now();
    waiting = 0;
    if (!pixels || !colouring) return;
    const wanted = radius();
    if (wanted !== spriteRadius) [spriteRadius, sprites] = [wanted, []];
    // While a great many points move, some of those beneath are left out; at rest all are drawn.
    const every = soft ? 1 : Math.max(1, Math.min(12, Math.ceil((drawn * perPoint) / 12)));
    const some = paintPoints(soft, every);
    const took = performance.now() - began;
    if (soft) costly = took > 9;
    perPoint = took / Math.max(1, some);
    paintOver();
    if (hasMoved && !soft) {
      clearTimeout(settling);
      settling = setTimeout(ask, 140);
    }
    hasMoved = false;
  }

  function paintPoints(soft, every) {
    const kx = view.k * stretch.x * ratio, ky = view.k * stretch.y * ratio, ox = view.x * ratio + margin, oy = view.y * ratio + margin;
    const target = pixels, background = packed(paper);
    // Of a point that lies beyond the edge its rim may still be in sight; half of the margin is room for that rim.
    const beyond = Math.min(margin >> 1, Math.ceil(1.3 * spriteRadius * 2 ** (biggest / 4)) + 1);
    const low = margin - beyond, right = stride - low, bottom = image.height - low, xs = drawnX, ys = drawnY, styles = drawnStyle;
    target.fill(background);
    const onTop = every === 1 ? 0 : Math.max(0, drawn - 20000);
    for (let i = 0; i < drawn; i += i < onTop ? every : 1) {
      const px = xs[i] * kx + ox, py = oy - ys[i] * ky;
      if (px < low || py < low || px >= right || py >= bottom) continue;
      const style = styles[i], look = sprites[style] ?? sprite(style), at = (py | 0) * stride + (px | 0);
      if (!soft) {
        const { plain, plainInk } = look;
        for (let j = 0; j < plain.length; j++) target[at + plain[j]] = plainInk[j];
        continue;
      }
      const { solid, solidInk, soft: edge, softInk, softness } = look;
      for (let j = 0; j < solid.length; j++) target[at + solid[j]] = solidInk[j];
      for (let j = 0; j < edge.length; j++) {
        const to = at + edge[j], under = target[to], ink = softInk[j], share = softness[j], rest = 256 - share;
        const redBlue = (((under & 0xff00ff) * rest + (ink & 0xff00ff) * share) >>> 8) & 0xff00ff;
        const green = (((under & 0xff00) * rest + (ink & 0xff00) * share) >>> 8) & 0xff00;
        target[to] = 0xff000000 | redBlue | green;
      }
    }
    return Math.ceil(onTop / every) + drawn - onTop;
  }

  let path = null;  // of a lasso or a box that is being drawn, in pixels of the stage
  function paintOver() {
    const pen = context, ink = forced.matches ? "CanvasText" : token("--ink"), link = forced.matches ? "Highlight" : token("--link");
    if (!pen) return;
    pen.putImageData(image, -margin, -margin);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (info.apart !== undefined && info.apart !== null) paintApart(pen);
    const ring = (row, reach, colour, dashes) => {
      if (row < 0 || x[row] === NOWHERE) return;
      const own = (spriteRadius / ratio) * 2 ** (sizeOf(row) / 4);
      for (const [line, stroke] of [[5, forced.matches ? "Canvas" : token("--card")], [2.5, colour]]) {
        pen.beginPath();
        pen.setLineDash(dashes);
        pen.arc(toX(x[row]), toY(y[row]), Math.max(reach, own + reach / 2), 0, 2 * Math.PI);
        pen.lineWidth = line;
        pen.strokeStyle = stroke;
        pen.stroke();
      }
      pen.setLineDash([]);
    };
    ring(ringed, 12, ink, []);
    if (cursor !== ringed) ring(cursor, 9, link, [4, 3]);
    if (!path) return;
    pen.beginPath();
    path.forEach(([px, py], i) => (i ? pen.lineTo(px, py) : pen.moveTo(px, py)));
    pen.closePath();
    pen.globalAlpha = 0.14;
    pen.fillStyle = link;
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5;
    pen.strokeStyle = link;
    pen.stroke();
  }

  // The strip beside the map in which foreign groups lie.
  function paintApart(pen) {
    const at = toX(info.apart), muted = forced.matches ? "CanvasText" : token("--muted");
    if (at < 0 || at > width) return;
    pen.beginPath();
    pen.setLineDash([2, 4]);
    pen.moveTo(at, 0);
    pen.lineTo(at, height);
    pen.lineWidth = 1;
    pen.strokeStyle = muted;
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = muted;
    pen.font = `12px ${getComputedStyle(node).fontFamily}`;
    const room = width - at - 16;
    for (const text of ["foreign groups, set apart", "foreign groups", "foreign"]) {
      if (pen.measureText(text).width <= room) {
        pen.fillText(text, at + 8, 18);
        return;
      }
    }
  }

  // --- The legend

  function drawLegend() {
    const { keys, of, entries } = colouring, counts = new Float64Array(entries.length);
    for (const row of index.rows) if (!mask || mask[row]) counts[keys[of[row]].entry]++;
    const shown = entries.map((name, entry) => ({ name, entry })).filter(({ entry }) => counts[entry] > 0);
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.entry : null;
    legend.replaceChildren(...shown.map(({ name, entry }) => {
      const of_entry = keys.filter((key) => key.entry === entry), look = of_entry[Math.floor(of_entry.length / 2)] ?? of_entry[0];
      const entryButton = make("button", { type: "button", title: "show or hide; double-click shows it alone", aria: { pressed: !hidden.has(entry) }, data: { entry } },
        swatch(look), make("bdi", { title: spelled(name) }, spelled(name)), make("small", {}, count(counts[entry])));
      entryButton.addEventListener("click", () => { if (!hidden.delete(entry)) hidden.add(entry); refresh(); });
      entryButton.addEventListener("dblclick", () => {
        const others = shown.filter((other) => other.entry !== entry), alone = others.length > 0 && others.every((other) => hidden.has(other.entry));
        hidden.clear();
        if (!alone) others.forEach((other) => hidden.add(other.entry));
        refresh();
      });
      return entryButton;
    }));
    if (focused !== null) legend.querySelector(`[data-entry="${focused}"]`)?.focus();
  }

  // The pressed state follows in place: a button that is replaced between two clicks hears no double-click.
  function refresh() {
    for (const each of legend.children) each.setAttribute("aria-pressed", !hidden.has(+each.dataset.entry));
    arrange();
    ask();
  }

  function swatch(look) {
    const small = make("canvas", { className: "map-swatch", width: 32, height: 32, aria: { hidden: "true" } });
    const pen = small.getContext("2d"), data = pen.createImageData(32, 32), target = new Uint32Array(data.data.buffer);
    const ink = rgb(own(look)), drawing = makeMapSprite(look, 11, 32, packed(ink), packed(between(ink, [0, 0, 0], 0.38)), 2);
    const middle = 16 * 32 + 16;
    drawing.soft.forEach((at, j) => { target[middle + at] = ((drawing.softInk[j] & 0xffffff) | (Math.min(255, drawing.softness[j]) << 24)) >>> 0; });
    drawing.solid.forEach((at, j) => { target[middle + at] = drawing.solidInk[j]; });
    pen.putImageData(data, 0, 0);
    return small;
  }

  // --- Which point is where

  function nearest(px, py, reach) {
    const cx = fromX(px), cy = fromY(py), rx = reach / (view.k * stretch.x), ry = reach / (view.k * stretch.y);
    let best = -1, least = reach * reach;
    index.within(cx - rx, cy - ry, cx + rx, cy + ry, (row) => {
      if (!visible[row]) return;
      const distance = (toX(x[row]) - px) ** 2 + (toY(y[row]) - py) ** 2;
      // Of several on one dot that which lies on top.
      if (distance < least || (distance === least && best >= 0 && colouring.of[row] > colouring.of[best])) [best, least] = [row, distance];
    });
    return best;
  }

  // The rows that lie nearest to one, at most so many.
  function near(row, most) {
    const away = (other) => Math.hypot((x[other] - x[row]) * stretch.x, (y[other] - y[row]) * stretch.y);
    for (let reach = 200; ; reach *= 2) {
      const others = [];
      index.within(x[row] - reach, y[row] - reach, x[row] + reach, y[row] + reach, (other) => { if (other !== row) others.push(other); });
      if (others.length >= 2 * most || reach > 140000) return others.sort((a, b) => away(a) - away(b)).slice(0, most);
    }
  }

  function isInside(polygon, px, py) {
    let inside = false;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [ax, ay] = polygon[i], [bx, by_] = polygon[j];
      if (ay > py !== by_ > py && px < ((bx - ax) * (py - ay)) / (by_ - ay) + ax) inside = !inside;
    }
    return inside;
  }

  function rowsInside(polygon) {
    const xs = polygon.map(([px]) => fromX(px)), ys = polygon.map(([, py]) => fromY(py)), rows = [];
    const corners = xs.map((each, i) => [each, ys[i]]);
    index.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (row) => {
      if (visible[row] && isInside(corners, x[row], y[row])) rows.push(row);
    });
    return Int32Array.from(rows).sort();
  }

  // The selection: of rows, or with `how` what these add to it or take from it.
  function choose(rows, how = "") {
    const next = how && chosen ? chosen : new Uint8Array(n);
    for (const row of rows) next[row] = how === "less" ? 0 : 1;
    const all = [];
    for (let row = 0; row < n; row++) if (next[row]) all.push(row);
    chosen = all.length ? next : null;
    clearButton.disabled = !chosen;
    arrange();
    ask();
    tell(`${count(all.length)} selected`);
    actions.select?.(Int32Array.from(all));
  }

  // --- Moving

  function zoom(factor, px, py) {
    const k = Math.max(home.k * 0.7, Math.min(home.k * 400, view.k * factor)), by_ = k / view.k;
    view.x = px - (px - view.x) * by_;
    view.y = py - (py - view.y) * by_;
    view.k = k;
    ask(true);
  }

  function move(dx, dy) {
    view.x += dx;
    view.y += dy;
    ask(true);
  }

  function reset() {
    Object.assign(view, home);
    ask();
  }

  // --- Mouse and finger

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const fingers = new Map();
  let drag = null, hovered = -1, hovering = 0, pinch = 0, lastScroll = -1e9;

  function down(event) {
    if (event.button !== 0) return;
    const finger = event.pointerType === "touch";
    fingers.set(event.pointerId, at(event));
    if (fingers.size === 2) {
      drag = path = null;
      pinch = spread();
      return;
    }
    const doing = tool === "lasso" || tool === "box" ? tool : event.shiftKey && !finger ? "lasso" : tool;
    drag = { doing, from: at(event), last: at(event), far: false, how: tool === doing ? (event.shiftKey ? "more" : event.altKey ? "less" : "") : "" };
    if (!finger || tool) stage.setPointerCapture(event.pointerId);
  }

  const spread = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a[0] - b[0], a[1] - b[1]);
  };

  function moved(event) {
    const [px, py] = at(event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [px, py]);
    if (fingers.size === 2 && tool) {
      const [a, b] = [...fingers.values()], wide = spread();
      if (pinch) zoom(wide / pinch, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      pinch = wide;
      return;
    }
    if (!drag) {
      if (!hovering) hovering = requestAnimationFrame(() => { hovering = 0; hover(px, py, event); });
      return;
    }
    drag.far ||= Math.hypot(px - drag.from[0], py - drag.from[1]) > 3;
    if (!drag.far) return;
    if (drag.doing === "move") move(px - drag.last[0], py - drag.last[1]);
    if (drag.doing === "box") path = [drag.from, [px, drag.from[1]], [px, py], [drag.from[0], py]];
    if (drag.doing === "lasso") {
      path ??= [drag.from];
      if (Math.hypot(px - path.at(-1)[0], py - path.at(-1)[1]) >= 2) path.push([px, py]);
    }
    drag.last = [px, py];
    if (path && !waiting) requestAnimationFrame(paintOver);
    leave();
  }

  function up(event) {
    fingers.delete(event.pointerId);
    if (!drag) return;
    const { far, how, from } = drag, drawnPath = path;
    drag = path = null;
    if (drawnPath && drawnPath.length > 2) choose(rowsInside(drawnPath), how);
    else if (!far) {
      const row = nearest(...from, event.pointerType === "touch" ? 22 : 12);
      if (row >= 0) pick(row);
    }
    paintOver();
  }

  function hover(px, py, event) {
    const row = nearest(px, py, 12);
    stage.style.cursor = row >= 0 ? "pointer" : "";
    if (row === hovered) return;
    hovered = row;
    actions.hover?.(row < 0 ? null : row, event.clientX, event.clientY);
  }

  function leave() {
    if (hovered < 0) return;
    hovered = -1;
    actions.hover?.(null, 0, 0);
  }

  function pick(row) {
    cursor = row;
    ring(row);
    actions.pick?.(row);
  }

  function wheel(event) {
    // Who scrolls the page past the map, or out of it at its smallest, wants the page.
    if (performance.now() - lastScroll < 250 || (event.deltaY > 0 && view.k <= home.k * 0.71)) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    zoom(Math.exp(-Math.max(-300, Math.min(300, event.deltaY * lines)) * (event.ctrlKey ? 0.01 : 0.002)), ...at(event));
    leave();
  }

  // --- Keys

  // The nearest point in a direction; what lies aside of it counts double.
  function towards(row, dx, dy) {
    const fx = x[row], fy = y[row];
    for (let reach = 600; ; reach *= 2) {
      let best = -1, least = Infinity;
      index.within(fx - (dx > 0 ? 0 : reach), fy - (dy > 0 ? 0 : reach), fx + (dx < 0 ? 0 : reach), fy + (dy < 0 ? 0 : reach), (other) => {
        if (!visible[other]) return;
        const along = (x[other] - fx) * dx + (y[other] - fy) * dy, aside = Math.abs((x[other] - fx) * dy) + Math.abs((y[other] - fy) * dx);
        if (along <= 0 || aside > along || along + aside > reach) return;
        if (along + 2 * aside < least || (along + 2 * aside === least && colouring.of[other] > colouring.of[best])) [best, least] = [other, along + 2 * aside];
      });
      if (best >= 0 || reach > 140000) return best;
    }
  }

  const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = DIRECTIONS[event.key];
    if (direction && event.shiftKey) move(-80 * direction[0], 80 * direction[1]);
    else if (direction) step(direction);
    else if (event.key === "Enter" && cursor >= 0) pick(cursor);
    else if (event.key === " " && cursor >= 0) choose([cursor], chosen?.[cursor] ? "less" : "more");
    else if (event.key === "+" || event.key === "=") zoom(1.4, ...focus());
    else if (event.key === "-") zoom(1 / 1.4, ...focus());
    else if (event.key === "0") reset();
    else if (event.key === "Escape" && (path || chosen)) {
      path = drag = null;
      clearSelection();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  const focus = () => (cursor >= 0 && x[cursor] !== NOWHERE ? [toX(x[cursor]), toY(y[cursor])] : [width / 2, height / 2]);

  function step(direction) {
    const next = cursor >= 0 && visible[cursor] ? towards(cursor, ...direction) : nearest(width / 2, height / 2, width + height);
    if (next < 0) {
      tell("no point further in this direction");
      return;
    }
    cursor = next;
    toSight(cursor);
    ask();
    name(cursor);
    actions.hover?.(cursor, ...clientOf(cursor));
  }

  const clientOf = (row) => {
    const box = stage.getBoundingClientRect();
    return [box.left + toX(x[row]), box.top + toY(y[row])];
  };

  function toSight(row) {
    const px = toX(x[row]), py = toY(y[row]), gap = Math.min(40, width / 8);
    if (px < gap || px > width - gap) view.x += width / 2 - px;
    if (py < gap || py > height - gap) view.y += height / 2 - py;
  }

  const tell = (text) => { said.textContent = text; };
  async function name(row) {
    const found = [];
    for (let i = 0; i < columns.finding_row.length; i++) {
      if (columns.finding_row[i] === row) found.push(info.checks[columns.finding_check[i]].title);
    }
    const many = standsFor[row] > 1 ? `one of ${count(standsFor[row])} on this dot` : "";
    const words = [info.classes[columns.label[row]] ?? "no label", MAP_WORDS[info.verdicts[columns.verdict[row]]] ?? "", ...found, many].filter(Boolean).join(", ");
    tell(spelled(words));
    const details = await source.details([row]).catch(() => []);  // without its id a point still has a name
    if (cursor === row && details.length) tell(spelled(`${details[0].id}: ${words}`));
  }

  // --- Tools

  const toolButton = (text, title, act) => {
    const made = button(text, act, { title });
    tools.append(made);
    return made;
  };
  const TOOLS = { move: ["move", "drag to move the map; with shift to draw a lasso"], lasso: ["lasso", "draw around points to select them; with shift to add, with alt to take away"], box: ["box", "draw a box around points to select them; with shift to add, with alt to take away"] };
  const toolButtons = Object.entries(TOOLS).map(([name_, [text, title]]) => [name_, toolButton(text, title, () => use(tool === name_ && coarse.matches ? "" : name_))]);
  function use(name_) {
    tool = name_;
    for (const [other, made] of toolButtons) made.setAttribute("aria-pressed", String(other === tool));
    // One finger scrolls the page unless a tool is on.
    stage.style.touchAction = tool ? "none" : "pan-x pan-y";
    stage.dataset.tool = tool;
  }
  use(tool);
  toolButton("+", "zoom in", () => zoom(1.5, ...focus())).setAttribute("aria-label", "zoom in");
  toolButton("\u2212", "zoom out", () => zoom(1 / 1.5, ...focus())).setAttribute("aria-label", "zoom out");
  toolButton("show all", "all points in sight", reset);
  const clearButton = toolButton("clear selection", "select nothing", () => clearSelection());
  clearButton.disabled = true;

  // --- What others may ask of it

  async function colour(way) {
    choice.value = way;
    if (way.startsWith("score:")) columns[`score_${way.slice(6)}`] ??= await source.column(`score_${way.slice(6)}`);
    if (choice.value !== way) return;  // another was chosen meanwhile
    by = way;
    hidden.clear();
    recolour();
  }

  // Of all rows only some: their numbers, or a mask with a byte for each row; null shows all.
  function show(rows) {
    if (rows === null || rows === undefined) mask = null;
    else if (rows instanceof Uint8Array) mask = rows;
    else {
      mask = new Uint8Array(n);
      for (const row of rows) mask[row] = 1;
    }
    arrange();
    drawLegend();
    ask();
  }

  function ring(row) {
    ringed = row ?? -1;
    if (ringed >= 0 && x[ringed] !== NOWHERE) toSight(ringed);
    ask();
  }

  function select(rows) {
    chosen = null;
    choose(rows);
  }

  function clearSelection() {
    if (chosen) choose([]);
  }

  // Columns that changed, such as verdicts after a decision.
  function update(changed) {
    Object.assign(columns, changed);
    recolour();
  }

  const listeners = new AbortController(), { signal } = listeners;
  for (const [kind, act] of Object.entries({ pointerdown: down, pointermove: moved, pointerup: up, pointerleave: leave, keydown: key, dblclick: () => { if (!hasPoint()) reset(); } })) {
    stage.addEventListener(kind, act, { signal });
  }
  const hasPoint = () => hovered >= 0;
  stage.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); drag = path = null; ask(); }, { signal });
  stage.addEventListener("wheel", wheel, { signal, passive: false });
  addEventListener("scroll", () => { lastScroll = performance.now(); }, { signal, passive: true });
  choice.addEventListener("change", () => colour(choice.value), { signal });
  for (const media of [dark, forced]) media.addEventListener("change", recolour, { signal });
  const sizes = new ResizeObserver(resize);
  sizes.observe(stage);
  resize();
  recolour();

  function destroy() {
    listeners.abort();
    sizes.disconnect();
    cancelAnimationFrame(waiting);
    clearTimeout(settling);
    node.replaceChildren();
  }
  return { colour, show, ring, select, clearSelection, update, reset, near, destroy, element: stage,
    // Where a row lies on the page, to place something beside it; null where it has no place.
    place: (row) => (x[row] === NOWHERE ? null : clientOf(row)) };
}
