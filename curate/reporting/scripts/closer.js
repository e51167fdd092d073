// One picture, larger, with all that is said of it, and the decisions on it.

function closerOf(set, show, known, decisions, comparing, keys, actions) {
  const dialog = one("dialog.closer");
  let shown = null, chooser = null, step = () => {};
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { if (!dialog.open) shown = null; });

  // Whether a text is in the clipboard now. A page that comes by plain http is given none: there a selection is copied.
  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = make("textarea", { value: text, readOnly: true, className: "offstage" });
      dialog.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  // The picture in its full size where the carrier has it, the thumbnail until then.
  function large(row, side) {
    const frame = make("div", { className: "large" }, show.image(row, side));
    const address = set.source.original(row);
    if (address) {
      const original = make("img", { alt: `${known.id(row)} ${show.labelOf(row)}`.trim(), className: "original" });
      original.addEventListener("load", async () => {
        await original.decode().catch(() => {});  // what cannot be decoded is no error of the page's: the thumbnail stays
        if (!original.naturalWidth) return;
        const side = Math.max(original.naturalWidth, original.naturalHeight);
        original.classList.toggle("tiny", side <= TINY);
        original.classList.toggle("small", side <= LARGE);
        frame.replaceChildren(original);
      });
      original.addEventListener("error", async () => {
        const answer = await fetch(address).then((response) => response.json()).catch(() => ({}));
        frame.append(make("p", { className: "small missing" }, answer.error ?? "the picture in full size is missing"));
      });
      original.src = address;
    }
    return frame;
  }

  async function look(row, frame) {
    await known.ask([row]);
    const around = frame ? all(".picture", frame.closest(".check, .strip, .pinned, .selection, .compared") || document) : [];
    const at = around.indexOf(frame);
    step = (by) => { const next = around[at + by]; if (next) look(+next.dataset.row, next); };
    const suggested = comparing.suggestedFor(row);
    const tools = make("p", { className: "tools" });
    const tool = (text, act, disabled = false) => tools.append(button(text, act, { disabled }));
    tool("drop", () => decide("drop"));
    tool("keep", () => decide("keep"));
    if (suggested >= 0) tool(`relabel as ${show.labelName(suggested)}`, () => decide("relabel", suggested));
    if (set.info.classes.length > 1) tool("relabel …", relabel);
    if (around.length > 1) {
      tool("← before", () => step(-1), at <= 0);
      tool("next →", () => step(1), at === around.length - 1);
    }
    if (set.columns.x[row] !== NOWHERE && actions.showOnMap) tool("show on the map", () => { dialog.close(); actions.showOnMap(row); });
    const said = make("span", { className: "quiet", role: "status" });
    tool("copy id", async () => { said.textContent = (await copied(known.id(row))) ? "copied" : "not copied: select the id and copy it by hand"; });
    tool("close", () => closeDialog(dialog));
    tools.append(said);
    shown = row;
    const words = make("div", {}, show.described(row, true), tools);
    chooser = labelChooser(set, show, words);
    dialog.replaceChildren(large(row, LARGE), words);
    openDialog(dialog);
    announce(`${spelled(known.id(row))} ${show.labelOf(row)}`);
    const beside = await comparing.beside(row);
    if (shown === row) dialog.append(beside);
  }

  const decide = (action, label) => decisions.decide([{ rows: [shown], action, label }]).catch(complain);
  const relabel = () => {
    if (set.info.classes.length > 1) chooser.ask("Its label", set.columns.label[shown], comparing.suggestedFor(shown), (label) => decide("relabel", label));
  };
  keys.bind(dialog, "One picture, larger", [
    ["d", "drop", () => decide("drop")],
    ["k", "keep", () => decide("keep")],
    ["r", "relabel", relabel],
    ["u", "undo", () => decisions.undo().catch(complain)],
    ["ArrowLeft", "the picture before", () => step(-1)],
    ["ArrowRight", "the next picture", () => step(1)],
    ["Escape", "close", () => closeDialog(dialog)],
  ]);

  decisions.subscribe(() => {
    const about = one(".about", dialog);
    if (shown !== null && about) about.replaceWith(show.described(shown, true));
  });

  return { look, large };
}
