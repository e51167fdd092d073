// One picture, larger, with all that is said of it, and the decisions on it.

function closerOf(set, show, known, decisions, actions) {
  const dialog = one("dialog.closer");
  let shown = null;
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { shown = null; });

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
  function large(row) {
    const frame = make("div", { className: "large" }, show.image(row, 96));
    const address = set.source.original(row);
    if (address) {
      const original = make("img", { alt: `${known.id(row)} ${show.labelOf(row)}`.trim(), className: "original" });
      original.addEventListener("load", () => {
        if (Math.max(original.naturalWidth, original.naturalHeight) <= TINY) original.classList.add("tiny");
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
    const beside = frame ? all(".picture", frame.closest(".check, .strip, .pinned, .selection") || document) : [];
    const at = beside.indexOf(frame);
    const step = (by) => { const next = beside[at + by]; if (next) look(+next.dataset.row, next); };
    const tools = make("p", { className: "tools" });
    const tool = (text, act, disabled = false) => tools.append(button(text, act, { disabled }));
    const decide = (action, label) => decisions.decide([{ rows: [row], action, label }]).catch(complain);
    tool("drop", () => decide("drop"));
    tool("keep", () => decide("keep"));
    const suggested = set.findingsOf(row).map((finding) => set.columns.finding_suggested[finding]).find((label) => label >= 0);
    if (suggested !== undefined) tool(`relabel as ${show.labelName(suggested)}`, () => decide("relabel", suggested));
    if (beside.length > 1) {
      tool("← before", () => step(-1), at <= 0);
      tool("next →", () => step(1), at === beside.length - 1);
    }
    if (set.columns.x[row] !== NOWHERE && actions.showOnMap) tool("show on the map", () => { dialog.close(); actions.showOnMap(row); });
    const said = make("span", { className: "quiet", role: "status" });
    tool("copy id", async () => { said.textContent = (await copied(known.id(row))) ? "copied" : "not copied: select the id and copy it by hand"; });
    tool("close", () => dialog.close());
    tools.append(said);
    shown = row;
    dialog.replaceChildren(large(row), make("div", {}, show.described(row, true), tools));
    dialog.onkeydown = (event) => {
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    };
    if (!dialog.open) dialog.showModal();
    dialog.focus();
  }

  decisions.subscribe(() => {
    const about = one(".about", dialog);
    if (shown !== null && about) about.replaceWith(show.described(shown, true));
  });

  return { look, large };
}
