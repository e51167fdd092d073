// What a picture is held against: its copies, its group, what its class and the suggested one look like, what is near.

const BESIDE = 6;  // pictures of one kind at most

function comparisonsOf(set, show, known, look) {
  const { columns, info } = set;
  const suggestedFor = (row) => set.findingsOf(row).map((finding) => columns.finding_suggested[finding]).find((label) => label >= 0) ?? -1;
  const classes = (words, label) => [words, " ", make("bdi", { title: show.labelName(label) }, show.labelName(label))];

  // Groups that a row is in, one after the other: of its copies, and of what a check found together.
  function groupsOf(row) {
    const groups = [];
    const copies = set.copiesOf(row);
    if (copies.length > 1) groups.push({ copies: true, key: `c${columns.group[row]}`, what: "group of copies", rows: copies });
    for (const finding of set.findingsOf(row)) {
      const number = columns.finding_group[finding], check = columns.finding_check[finding];
      if (number < 0 || number === columns.group[row]) continue;
      groups.push({ copies: false, key: `${check} ${number}`, what: `group of ${info.checks[check].title.toLowerCase()}`, rows: together(check, number) });
    }
    return groups.filter((group) => group.rows.length > 1);
  }

  const groupRows = new Map();
  function together(check, number) {
    if (!groupRows.size) {
      columns.finding_group.forEach((group, finding) => {
        const row = columns.finding_row[finding];
        if (group < 0 || row < 0 || group === columns.group[row]) return;
        const key = `${columns.finding_check[finding]} ${group}`;
        if (!groupRows.has(key)) groupRows.set(key, []);
        groupRows.get(key).push(row);
      });
    }
    return groupRows.get(`${check} ${number}`) ?? [];
  }

  function strip(title, rows, caption = null, most = BESIDE) {
    if (!rows.length) return null;
    const figures = rows.slice(0, most).map((row) => make("figure", {}, show.picture(row, look),
      caption ? make("figcaption", {}, ...caption(row)) : null));
    const left = rows.length - figures.length;
    return make("section", { className: "compared" }, make("h3", {}, ...title, left ? make("small", {}, ` and ${count(left)} more`) : null),
      make("div", { className: "row" }, ...figures));
  }
  const labelled = (row) => [make("bdi", { title: show.labelOf(row) }, show.labelOf(row))];
  const judged = (row) => [...labelled(row), " ", show.tag(show.verdictNow(row))];

  // All of these of a row, once it is there.
  async function beside(row) {
    const nearest = await set.source.neighbours(row).catch((error) => { complain(error); return []; });
    const copiesOf = new Set(set.copiesOf(row)), near = nearest.filter((other) => !copiesOf.has(other)).slice(0, BESIDE);
    const groups = groupsOf(row), suggested = suggestedFor(row), label = columns.label[row];
    const others = groups.map((group) => group.rows.filter((other) => other !== row).slice(0, BESIDE));
    const kinds = [label, suggested].map((of) => set.typical(of));
    const copies = groups.find((group) => group.copies)?.rows ?? [];
    await known.ask([...near, ...others.flat(), ...kinds.flat(), ...copies]);
    return make("div", { className: "beside" },
      ...groups.map((group) => {
        const rows = group.rows.filter((other) => other !== row);
        return group.copies ? strip([`The same picture, ${plural(rows.length, "more time")}`], rows, judged)
          : strip([`Others of this ${group.what}`], rows);
      }),
      suggested >= 0 && suggested !== label ? strip(classes("Suggested:", suggested), kinds[1]) : null,
      strip(classes("Its class:", label), kinds[0]),
      strip(["Nearest to it"], near, labelled));
  }

  return { beside, strip, groupsOf, suggestedFor };
}
