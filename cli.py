"""The three command lines: read the options, call the function of the same name, print what came of it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from augment.configs import BALANCES, FITS, SETS, BuildConfig
from curate.configs import MAP_NAMES, ScanConfig, SplitConfig
from curate.findings import DROP, KEEP, REVIEW, SEVERITY
from curate.stage.errors import DataError, ToolkitError, UnknownName
from curate.stage.progress import Advance
from train.configs import EvaluateConfig, RunConfig
from train.recipe import RECIPES, SECTIONS, load_recipe, options_of, with_options

if TYPE_CHECKING:
    import pandas as pd

    from augment.building import Built
    from curate.cleaning import Applied
    from curate.scans import Scan
    from train.metrics import Metrics
    from train.recipe import Recipe
    from train.training import Trained

# Where nobody looks, lines need not fit a screen.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
err = Console(highlight=False, soft_wrap=True, stderr=True)


class Group(TyperGroup):
    """Commands whose user errors end as one line and exit status 2; anything else is a bug and shows its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ToolkitError as error:
            err.print(f"{type(error).__name__}: {error}", markup=False)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            err.print("stopped; nothing was left half-written.")
            raise typer.Exit(130) from None


def _app(name: str, says: str) -> typer.Typer:
    # Each has a callback: without one, an app of a single command swallows the command's name.
    app = typer.Typer(name=name, cls=Group, help=says, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(lambda: None)
    return app


curate_app = _app(
    "curate", "Find what is wrong with a set of labelled images, show it, and leave a clean set beside it."
)
augment_app = _app("augment", "Build balanced training data and a corrupted domain-shift benchmark.")
train_app = _app("train", "Fine-tune a reference model and measure it, on clean images and under shift.")


class Terminal:
    """Progress bars on a terminal, nothing anywhere else."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        if not self.console.is_terminal or not total:
            yield lambda done: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        rate = "{task.fields[rate]}" if unit == "images" else ""
        columns = (
            TextColumn("  {task.description:<24}"),
            BarColumn(28),
            MofNCompleteColumn(),
            TextColumn(rate),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(name, total=total, rate="")

            def advance(done: int) -> None:
                speed = progress.tasks[0].finished_speed or progress.tasks[0].speed
                progress.update(task, completed=done, rate=f"{speed:,.0f} {unit}/s" if speed else "")

            yield advance

    def say(self, line: str) -> None:
        if not self.quiet:
            self.console.print(line, markup=False)


Source = Annotated[Path, typer.Argument(help="An .npz of images and labels, a folder of images, or a list of files.")]
Artifacts = Annotated[Path, typer.Option(help="Folder for everything that is written.")]
Labels = Annotated[Path | None, typer.Option(help="CSV of labels for a flat folder: columns file and label.")]
Seed = Annotated[int, typer.Option(help="Of everything drawn by chance.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines instead.")]
_DEFAULT = ScanConfig()
_ARTIFACTS = _DEFAULT.artifacts or "artifacts"


@curate_app.command()
def scan(
    source: Source,
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    backbone: Annotated[
        str, typer.Option(help="A Keras application such as MobileNetV2-0.35, 'builtin', or 'auto'.")
    ] = _DEFAULT.backbone,
    weights: Annotated[Path | None, typer.Option(help="Weights file for the backbone instead of ImageNet's.")] = None,
    input_size: Annotated[
        int, typer.Option(help="Pixels a side that pictures are resized to for embedding.")
    ] = _DEFAULT.input_size,
    map: Annotated[str, typer.Option(help=f"Picture of the set: {', '.join(MAP_NAMES)}.")] = _DEFAULT.map,
    drop: Annotated[
        list[str] | None,
        typer.Option(help="Drop every finding of this check. Repeat, or separate by commas."),
    ] = None,
    review: Annotated[list[str] | None, typer.Option(help="Drop no finding of this check, only review.")] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="CHECK=SCORE from which a check speaks, instead of 0.5.")
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Leave what awaits review out of the clean set as well.")
    ] = _DEFAULT.strict,
    workers: Annotated[int, typer.Option(help="Threads; 0 means one per core.")] = _DEFAULT.workers,
    seed: Seed = _DEFAULT.seed,
    fail_on: Annotated[
        str, typer.Option(help='Exit 1 when a condition holds, as in "leak>0,label_conflict>0,drop>=100".')
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Find what is wrong with a set of images; leave a report and a clean set, and the input as it is."""
    conditions = _conditions(fail_on)
    config = ScanConfig(
        labels=_text(labels),
        artifacts=str(artifacts),
        backbone=backbone,
        weights=_text(weights),
        input_size=input_size,
        map=map,
        drop=_names(drop),
        review=_names(review),
        thresholds=_thresholds(threshold),
        strict=strict,
        workers=workers,
        seed=seed,
    )
    from curate.scanning import scan as run

    found = run(source, config, Terminal(err if as_json else out, quiet=as_json))
    if as_json:
        print(json.dumps(_scan_json(found, artifacts), ensure_ascii=False, indent=2))
    else:
        _print_scan(found, artifacts)
    _fail_on(conditions, found)


def _print_scan(found: Scan, artifacts: Path) -> None:
    rows = []
    for check, of in found.findings.groupby("check", sort=False):
        groups = of.loc[of["group"] >= 0, "group"].nunique()
        count = f"{(of['row'] >= 0).sum():,}"
        rows.append((str(check), count, f"{groups:,}" if groups else "", _actions(of), _gist(found, str(check))))
    # The last column alone gives way on a narrow screen.
    taken = sum(max(len(row[i]) for row in rows) + 4 for i in range(4)) if rows else 0
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    for name in ("check", "rows", "groups", "action", ""):
        table.add_column(name, justify="right" if name in ("rows", "groups") else "left", no_wrap=True)
    for *fixed, gist in rows:
        room = max(0, out.width - taken - 6)
        table.add_row(*fixed, escape(gist if len(gist) <= room else gist[: max(0, room - 1)] + "…" * (room > 8)))
    out.print()
    if len(found.findings):
        out.print(table)
    else:
        out.print("  no check has anything to say against these images")
    out.print()
    for i, sentence in enumerate(_telling(found), 1):
        out.print(f"{i}. {sentence}", markup=False)
    counts = found.table["verdict"].value_counts()
    dropped, awaiting = int(counts.get(DROP, 0)), int(counts.get(REVIEW, 0))
    line = f"would drop {dropped:,} rows ({dropped / len(found.table):.1%}), keep {awaiting:,} for your review"
    if found.effect:
        e = found.effect
        line += (
            f"; probe accuracy {e.before:.3f} -> {e.after:.3f} ({e.low:.3f} .. {e.high:.3f}) on the same held-out rows"
        )
    out.print()
    out.print(line, markup=False)
    _print_notes(found.notes)
    kept = len(found.table) - dropped - (awaiting if found.config.strict else 0)
    clean = artifacts / ("clean.csv" if found.images.source.kind == "files" else "clean.npz")
    out.print(f"report  {artifacts / 'scan' / 'report.html'}      clean set  {clean} ({kept:,} rows)", markup=False)
    out.print(
        f"next    augment build --policy heavy{_elsewhere(artifacts)}    or look first: open the report", markup=False
    )


def _actions(of: pd.DataFrame) -> str:
    """ "drop", "review", or how many of each."""
    counts = of["action"].value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return ", ".join(f"{counts[action]:,} {action}" for action in (DROP, REVIEW))


def _gist(found: Scan, check: str) -> str:
    """The weightiest story of a check, short enough for a table."""
    stories = [s for s in found.stories if s.check == check]
    if not stories or check == "label_conflict":
        return ""
    words = re.split(r"[:;,(]", stories[0].sentence)[0].strip()
    more = f" (+{len(stories) - 1} more)" if len(stories) > 1 else ""
    return words + more


def _telling(found: Scan, at_most: int = 3) -> list[str]:
    """The most telling findings in words, of as many kinds as there are, and what becomes of them."""
    first: list[Any] = []
    for story in found.stories:
        if sum(s.check == story.check for s in first) < 2:
            first.append(story)
    lines = []
    for story in first[:at_most]:
        group = f" (group {story.group})" if story.group >= 0 and story.rows else ""
        of = found.findings[(found.findings["check"] == story.check) & found.findings["row"].isin(story.rows)]
        dropped = len(of) and (of["action"] == DROP).all()
        lines.append(f"{story.sentence}{group}.{' All dropped.' if dropped else ''}")
    return lines


def _scan_json(found: Scan, artifacts: Path) -> dict[str, Any]:
    counts = found.table["verdict"].value_counts()
    effect = found.effect
    return {
        "source": str(found.images.source.path),
        "images": len(found.table),
        "classes": list(found.images.classes),
        "embedder": found.embedder,
        "verdicts": {v: int(counts.get(v, 0)) for v in (KEEP, DROP, REVIEW)},
        "checks": {
            str(check): {
                "rows": int((of["row"] >= 0).sum()),
                "groups": int(of.loc[of["group"] >= 0, "group"].nunique()),
                "drop": int((of["action"] == DROP).sum()),
                "review": int((of["action"] == REVIEW).sum()),
            }
            for check, of in found.findings.groupby("check", sort=False)
        },
        "stories": [
            {"check": s.check, "group": s.group, "rows": len(s.rows), "sentence": s.sentence} for s in found.stories
        ],
        "effect": vars(effect) if effect else None,
        "notes": list(found.notes),
        "timings": dict(found.timings),
        "artifacts": str(artifacts),
    }


@curate_app.command()
def apply(
    artifacts: Artifacts = Path(_ARTIFACTS),
    keep_id: Annotated[
        list[str] | None, typer.Option(help="Id of an image to keep, whatever was found. Repeat.")
    ] = None,
    drop_id: Annotated[list[str] | None, typer.Option(help="Id of an image to drop. Repeat.")] = None,
    why: Annotated[str, typer.Option(help="Reason, recorded with the decision.")] = "",
    drop: Annotated[list[str] | None, typer.Option(help="Drop every finding of this check. Repeat.")] = None,
    review: Annotated[list[str] | None, typer.Option(help="Drop no finding of this check. Repeat.")] = None,
    strict: Annotated[bool | None, typer.Option(help="Leave out what awaits review; by default as scanned.")] = None,
    labels: Annotated[Path | None, typer.Option(help="The CSV of labels, where it has moved since.")] = None,
) -> None:
    """Rebuild the clean set from the findings and your decisions, which are recorded and can be undone."""
    from curate.cleaning import ApplyConfig, decide
    from curate.cleaning import apply as run

    config = ApplyConfig(strict=strict, drop=_names(drop), review=_names(review), labels=_text(labels))
    decisions = {name: action for ids, action in ((keep_id, KEEP), (drop_id, DROP)) for name in ids or ()}
    if decisions:
        decide(artifacts, decisions, why)
    _print_applied(run(artifacts, config))


@curate_app.command()
def undo(
    count: Annotated[int, typer.Argument(help="How many decisions to take back, the latest first.")] = 1,
    artifacts: Artifacts = Path(_ARTIFACTS),
) -> None:
    """Take back your last decisions, and rebuild the clean set without them."""
    from curate.cleaning import undo as run

    undone = run(artifacts, count)
    for decision in undone.taken_back:
        out.print(
            f"taken back: {decision.action} {decision.id}{f' ({decision.why})' if decision.why else ''}", markup=False
        )
    _print_applied(undone.applied)


def _print_applied(applied: Applied) -> None:
    out.print(
        f"kept {applied.kept:,}, dropped {applied.dropped:,}, awaiting review {applied.review:,}; "
        f"{applied.decided:,} by your decision"
    )
    _print_notes(applied.notes)
    out.print(f"clean set  {applied.path} ({applied.rows:,} rows)", markup=False)


@curate_app.command()
def diff(
    scan_a: Annotated[Path, typer.Argument(help="Folder of a scan, or the artifacts that hold it.")],
    scan_b: Annotated[Path, typer.Argument(help="Folder of a later scan.")],
    as_json: AsJson = False,
) -> None:
    """What changed from one scan to another: images, findings, verdicts, settings."""
    from curate.comparing import diff as run

    found = run(scan_a, scan_b)
    counts = {
        "matched": found.matched,
        "only in the first": len(found.only_a),
        "only in the second": len(found.only_b),
        "other pixels": len(found.pixels),
        "other label": len(found.labels),
        "other verdict": len(found.verdicts),
    }
    if as_json:
        tables = {name: json.loads(getattr(found, name).to_json(orient="records")) for name in _DIFF_TABLES}
        print(json.dumps({"counts": counts, **tables, "notes": list(found.notes)}, ensure_ascii=False, indent=2))
        return
    out.print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    for title, table in (("findings", found.summary), ("verdicts", found.moves), ("settings", found.settings)):
        if len(table):
            out.print()
            _print_table(table, title)
    _print_notes(found.notes)


_DIFF_TABLES = (
    "summary",
    "moves",
    "settings",
    "only_a",
    "only_b",
    "pixels",
    "labels",
    "verdicts",
    "gone",
    "new",
    "effect",
)


Share = Annotated[float, typer.Option(help="Share of the images.")]
BalancedTest = Annotated[
    bool, typer.Option("--balanced-test", help="The same number of images of every class in test.")
]
PerClass = Annotated[int | None, typer.Option(help="That number; by default the largest that fits.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the splits that the set has.")]


@curate_app.command()
def split(
    source: Annotated[Path | None, typer.Argument(help="The scanned set; by default its clean set.")] = None,
    train: Share = 0.7,
    val: Share = 0.15,
    test: Share = 0.15,
    balanced_test: BalancedTest = False,
    per_class: PerClass = None,
    fresh: Fresh = False,
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write; by default splits.csv in the artifacts.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train, val and test by groups of copies, stratified; proves that no group crosses."""
    from curate.splitting import split as run

    config = SplitConfig(
        train, val, test, balanced_test, per_class, fresh, _text(labels), str(artifacts), _text(to), seed
    )
    done = run(source, config)
    _print_table(done.counts)
    out.print()
    proof = done.proof
    out.print(f"proof   {proof.crossings} of {proof.groups:,} groups cross ({proof.several:,} of more than one image)")
    _print_notes(done.notes)
    out.print(f"splits  {done.path}", markup=False)


@curate_app.command()
def export(
    source: Annotated[
        Path, typer.Argument(help="A set of any stage: an .npz, a folder of images, a list of files, a built set.")
    ],
    to: Annotated[str, typer.Option(help="folder, webdataset, tfrecord, parquet, huggingface or npz.")],
    path: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write, file of an npz; by default in export/ in the artifacts."),
    ] = None,
    labels: Labels = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what an earlier export wrote there.")] = False,
    artifacts: Artifacts = Path(_ARTIFACTS),
) -> None:
    """Write a set in the form that another tool reads; the set itself stays as it is."""
    from curate.sets.exporting import ExportConfig
    from curate.sets.exporting import export as run

    config = ExportConfig(to, _text(path), _text(labels), force, str(artifacts))
    done = run(source, config, Terminal(out))
    images, files = (
        f"{n:,} {what}{'s' if n > 1 else ''}" for n, what in ((done.images, "image"), (done.files, "file"))
    )
    out.print(f"{images} as {done.to}: {files}, {done.bytes / 1e6:,.1f} MB", markup=False)
    _print_notes(done.notes)
    out.print(f"written  {done.path}", markup=False)
    out.print(f"load     {done.load}", markup=False)


@curate_app.command()
def selftest(
    source: Source,
    images: Annotated[int, typer.Option(help="How many of the images to try on.")] = 2000,
    precision: Annotated[float, typer.Option(help="Wanted of the thresholds that are proposed.")] = 0.95,
    repeats: Annotated[int, typer.Option(help="How often faults are planted anew.")] = 1,
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    backbone: Annotated[str, typer.Option(help="As of `curate scan`.")] = _DEFAULT.backbone,
    weights: Annotated[Path | None, typer.Option(help="As of `curate scan`.")] = None,
    input_size: Annotated[int, typer.Option(help="As of `curate scan`.")] = _DEFAULT.input_size,
    threshold: Annotated[list[str] | None, typer.Option(help="As of `curate scan`.")] = None,
    workers: Annotated[int, typer.Option(help="As of `curate scan`.")] = _DEFAULT.workers,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Plant known faults in a copy of your own images, and tell how many a scan finds."""
    from curate.selftesting import SelftestConfig
    from curate.selftesting import selftest as run

    scanned = ScanConfig(
        labels=_text(labels), backbone=backbone, weights=_text(weights), input_size=input_size,
        thresholds=_thresholds(threshold), workers=workers, seed=seed,
    )  # fmt: skip
    config = SelftestConfig(scanned, images, precision, repeats, seed, artifacts=str(artifacts))
    found = run(source, config, Terminal(err if as_json else out, quiet=as_json))
    if as_json:
        print((artifacts / "selftest.json").read_text(encoding="utf-8"))
        return
    shown = found.table[
        ["check", "planted", "found", "recall", "false_alarms", "precision", "ap", "threshold", "proposed"]
    ]
    out.print()
    _print_table(shown)
    missed = found.ways[found.ways["found"] < found.ways["planted"]]
    if len(missed):
        out.print()
        _print_table(missed, "not all found")
    _print_notes(found.notes)
    changed = {
        name: value for name, value in found.thresholds.items() if value != _thresholds(threshold).get(name, 0.5)
    }
    out.print(f"full table  {artifacts / 'selftest.json'}", markup=False)
    if changed:
        options = " ".join(f"--threshold {name}={value:g}" for name, value in changed.items())
        out.print(f"for a precision of {precision:g}  curate scan {source} {options}", markup=False)


@curate_app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the set and the artifacts of its scan go.")] = Path("demo"),
    images: Annotated[int, typer.Option(help="Clean images to draw; faults come on top.")] = 1200,
    seed: Seed = 0,
    map: Annotated[str, typer.Option(help=f"Picture of the set: {', '.join(MAP_NAMES)}.")] = _DEFAULT.map,
) -> None:
    """Draw a synthetic set of cells with known faults, scan it, and tell what was found of them."""
    scanned = ScanConfig(artifacts=str(folder / "artifacts"), map=map, seed=seed)
    from curate.demo import DemoConfig
    from curate.demo import demo as run

    out.print("drawing cells: a synthetic set, generated here, with faults planted in it")
    done = run(folder, DemoConfig(images=images, seed=seed), scanned, Terminal(out))
    _print_scan(done.scan, folder / "artifacts")
    out.print()
    _print_table(done.found, "planted and found")
    out.print(f"the set  {done.path}, its truth  {done.path.with_name('truth.json')}", markup=False)


Policy = Annotated[str, typer.Option(help="A built-in policy, a .toml file, or file.py:function.")]
Copies = Annotated[
    int | None, typer.Option(help="Copies of each picture of the largest class; by default the policy's.")
]
Balance = Annotated[str, typer.Option(help=f"{', '.join(BALANCES)}, or a number of images of every class.")]
Cap = Annotated[int, typer.Option(help="Most copies of one picture.")]
Size = Annotated[str, typer.Option(help="WIDTHxHEIGHT of all images; by default the set's own.")]
Built_From = Annotated[Path | None, typer.Argument(help="The scanned set; by default its clean set.")]
_BUILD = BuildConfig()


@augment_app.command()
def plan(
    source: Built_From = None,
    policy: Policy = _BUILD.policy,
    copies: Copies = None,
    balance: Balance = _BUILD.balance,
    cap: Cap = _BUILD.cap,
    train: Share = _BUILD.train,
    val: Share = _BUILD.val,
    test: Share = _BUILD.test,
    balanced_test: BalancedTest = False,
    per_class: PerClass = None,
    fresh: Fresh = False,
    size: Size = "",
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    seed: Seed = _BUILD.seed,
) -> None:
    """Say how many images of each class a build would make, before a byte is written."""
    from augment.planning import planned

    config = BuildConfig(
        policy, copies, balance, cap, train, val, test, balanced_test, per_class, fresh, _size(size),
        labels=_text(labels), artifacts=str(artifacts), seed=seed,
    )  # fmt: skip
    done = planned(source, config)
    _print_table(done.plan.table)
    out.print()
    counts = ", ".join(f"{name} {number:,}" for name, number in done.images.items())
    out.print(f"images  {counts}; {done.size[0]}x{done.size[1]}, {done.bytes / 1e6:,.0f} MB without the benchmark")
    _print_notes(done.notes)
    out.print(f"next    {_build_command(source, config, size)}{_elsewhere(artifacts)}", markup=False)


def _build_command(source: Path | None, config: BuildConfig, size: str) -> str:
    """The command that builds what was planned."""
    words = ["augment", "build", *([str(source)] if source else []), "--policy", config.policy]
    names = ("copies", "balance", "cap", "train", "val", "test", "per_class", "labels", "seed")
    given = {name: getattr(config, name) for name in names if getattr(config, name) != getattr(_BUILD, name)}
    for name, value in {**given, **({"size": size} if size else {})}.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    words += [f"--{name.replace('_', '-')}" for name in ("balanced_test", "fresh") if getattr(config, name)]
    return shlex.join(words)


@augment_app.command()
def policies() -> None:
    """List the policies: what each is for, and the paper or report that it is from."""
    from augment.policies import library

    for name in library.names():
        of = library.policy(name)
        out.print(f"[bold]{name}[/bold]  ({of.copies} {'copy' if of.copies == 1 else 'copies'})")
        out.print(f"    {of.about}", markup=False)
        if of.origin:
            out.print(f"    {of.origin}", markup=False, style="dim")
    out.print("\nlook    augment preview --policy NAME      your own: a .toml file, or file.py:function", markup=False)


@augment_app.command()
def corruptions(as_json: AsJson = False) -> None:
    """List the corruptions of the benchmark: family, role, the sets that they belong to."""
    import pandas as pd

    from augment.corruptions.corruption import CORRUPTIONS

    table = pd.DataFrame(
        [(c.name, c.family, c.role, ", ".join(c.sets), c.operation.name) for c in CORRUPTIONS.values()],
        columns=["corruption", "family", "role", "sets", "operation"],
    )
    if as_json:
        print(table.to_json(orient="records", indent=2))
        return
    _print_table(table)


@augment_app.command()
def preview(
    source: Annotated[Path | None, typer.Argument(help="Any set; by default the clean set, else drawn cells.")] = None,
    policy: Policy = _BUILD.policy,
    all_policies: Annotated[bool, typer.Option("--policies", help="Every policy, on one picture.")] = False,
    all_corruptions: Annotated[
        bool, typer.Option("--corruptions", help="Every corruption at five severities, on one picture.")
    ] = False,
    severities: Annotated[
        str, typer.Option(help="Of the corruptions: calibrated to the set, or a preset such as cifar-c.")
    ] = _BUILD.severities,
    copies: Annotated[int, typer.Option(help="Copies of each picture to show.")] = 7,
    images: Annotated[int, typer.Option(help="Pictures to show.")] = 8,
    size: Size = "",
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    to: Annotated[Path, typer.Option("--out", help="PNG to write.")] = Path("preview.png"),
    seed: Seed = _BUILD.seed,
) -> None:
    """Show what a policy makes of some pictures, or what the corruptions do, as a contact sheet."""
    from augment.previewing import CORRUPTIONS, POLICIES, POLICY
    from augment.previewing import preview as run

    if all_policies and all_corruptions:
        raise DataError("--policies and --corruptions are two sheets; ask for one at a time.")
    show = POLICIES if all_policies else CORRUPTIONS if all_corruptions else POLICY
    config = BuildConfig(
        policy=policy,
        severities=severities,
        size=_size(size),
        labels=_text(labels),
        artifacts=str(artifacts),
        seed=seed,
    )
    path = run(source, config, to, show=show, copies=copies, images=images, say=Terminal(out).say)
    out.print(f"sheet   {path}", markup=False)


@augment_app.command()
def overlap(
    source: Annotated[Path | None, typer.Argument(help="Any set; by default the clean set, else drawn cells.")] = None,
    policy: Policy = _BUILD.policy,
    benchmark: Annotated[str, typer.Option(help=f"Sets of corruptions: {', '.join(SETS)}.")] = ",".join(SETS),
    backbone: Annotated[str, typer.Option(help="As of `curate scan`.")] = _BUILD.backbone,
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    seed: Seed = _BUILD.seed,
    as_json: AsJson = False,
) -> None:
    """Say of each corruption of the benchmark whether a policy contains it: disjoint, near or identical."""
    from augment.judging import judge

    config = BuildConfig(
        policy=policy, benchmark=_names([benchmark]), backbone=backbone, labels=_text(labels),
        artifacts=str(artifacts), seed=seed, allow_overlap=True,
    )  # fmt: skip
    table = judge(source, config, Terminal(err if as_json else out, quiet=as_json))
    if as_json:
        print(table.to_json(orient="records", indent=2))
        return
    out.print()
    _print_table(table)


@augment_app.command()
def build(
    source: Built_From = None,
    policy: Policy = _BUILD.policy,
    copies: Copies = None,
    balance: Balance = _BUILD.balance,
    cap: Cap = _BUILD.cap,
    train: Share = _BUILD.train,
    val: Share = _BUILD.val,
    test: Share = _BUILD.test,
    balanced_test: BalancedTest = False,
    per_class: PerClass = None,
    fresh: Fresh = False,
    size: Size = "",
    fit: Annotated[str, typer.Option(help=f"How other sizes are brought to it: {', '.join(FITS)}.")] = _BUILD.fit,
    benchmark: Annotated[str, typer.Option(help=f"Sets of corruptions: {', '.join(SETS)}, or none.")] = ",".join(
        _BUILD.benchmark
    ),
    severities: Annotated[
        str,
        typer.Option(
            help="Calibrated to the set, or a preset: imagenet-c, tiny-imagenet-c, cifar-c, medmnist-c-blood."
        ),
    ] = _BUILD.severities,
    benchmark_images: Annotated[int, typer.Option(help="Most images of each benchmark set.")] = _BUILD.benchmark_images,
    allow_overlap: Annotated[
        bool, typer.Option("--allow-overlap", help="Build although the policy contains a corruption of the test.")
    ] = False,
    check: Annotated[bool, typer.Option(help="Draw images again whose label a probe no longer knows.")] = _BUILD.check,
    backbone: Annotated[str, typer.Option(help="As of `curate scan`.")] = _BUILD.backbone,
    weights: Annotated[Path | None, typer.Option(help="As of `curate scan`.")] = None,
    input_size: Annotated[int | None, typer.Option(help="As of `curate scan`; by default from 96 to 160.")] = None,
    labels: Labels = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an interrupted build stopped.")] = False,
    workers: Annotated[int, typer.Option(help="Processes; 0 means one per core.")] = _BUILD.workers,
    seed: Seed = _BUILD.seed,
    as_json: AsJson = False,
) -> None:
    """Make the sets to train on: splits that do not leak, balanced augmented copies, a benchmark of shifted domains."""
    from augment.building import build as run

    config = BuildConfig(
        policy, copies, balance, cap, train, val, test, balanced_test, per_class, fresh, _size(size), fit,
        () if benchmark == "none" else _names([benchmark]), severities, benchmark_images, allow_overlap, check,
        backbone, _text(weights), input_size, _text(labels), str(artifacts), resume, workers, seed,
    )  # fmt: skip
    done = run(source, config, Terminal(err if as_json else out, quiet=as_json))
    if as_json:
        print(json.dumps(_build_json(done), ensure_ascii=False, indent=2))
    else:
        _print_built(done, artifacts)


def _print_built(done: Built, artifacts: Path) -> None:
    out.print()
    _print_table(done.counts[["class", "train", "copies", "val", "test"]])
    out.print()
    if done.benchmark is not None:
        sets = done.benchmark["sets"]
        names = {role: {s["corruption"] for s in sets if s["role"] == role} for role in ("test", "validation")}
        images = sum(s["images"] for s in sets)
        out.print(
            f"benchmark  {len(sets)} sets of {images:,} images: {len(names['test'])} corruptions and composed tracks "
            f"to test on, {len(names['validation'])} to select by"
        )
        if done.counts["copies"].any():
            verdicts = Counter({s["corruption"]: s["verdict"] for s in sets if s["role"] == "test"}.values())
            told = ", ".join(f"{verdicts[name]} {name}" for name in ("disjoint", "near", "identical") if verdicts[name])
            name = done.planned.policy.name
            out.print(f"overlap    {name} against the test: {told}    augment overlap tells which", markup=False)
    lost = done.plan["labels_lost"]
    if lost is not None:
        copies = int(done.counts["copies"].sum())
        out.print(
            f"labels     {done.redrawn:,} of {copies:,} copies drawn again because a probe no longer knew their label, "
            f"{done.doubted:,} of them in vain"
        )
        worst = [row for row in lost if row["lost"] >= _WORTH_TELLING][:3]
        if worst:
            most = ", ".join(f"{row['operation']} {row['lost']:.1%}" for row in worst)
            out.print(f"           most by {most}", markup=False)
    seconds = done.seconds.get("training images", 0)
    made = done.images.get("train", 0)
    if done.resumed:
        out.print(f"resumed    {done.resumed:,} shards were there")
    elif seconds:
        out.print(f"speed      {made:,} training images in {seconds:.1f} s, {made / seconds:,.0f} a second")
    _print_notes(done.notes)
    out.print(f"built   {done.path}", markup=False)
    out.print(f"next    train baseline{_elsewhere(artifacts)}    or look first: augment preview", markup=False)


_WORTH_TELLING = 0.02


def _build_json(done: Built) -> dict[str, Any]:
    return {
        "path": str(done.path),
        "images": dict(done.images),
        "counts": json.loads(done.counts.to_json(orient="records")),
        "plan": done.plan,
        "benchmark": done.benchmark,
        "redrawn": done.redrawn,
        "doubted": done.doubted,
        "resumed": done.resumed,
        "seconds": dict(done.seconds),
    }


@augment_app.command()
def replay(
    id: Annotated[str, typer.Argument(help="Of an image of a built set, such as 17+2.")],
    set: Annotated[str, typer.Option("--set", help="That it is of, such as benchmark/fog-3.")] = "",
    artifacts: Artifacts = Path(_ARTIFACTS),
    to: Annotated[Path | None, typer.Option("--out", help="PNG of the source beside what became of it.")] = None,
) -> None:
    """Make one image of a built set again from its source and its record, and tell what was done to it."""
    from augment.replaying import replay as run

    done = run(id, artifacts, set)
    out.print(f"{id} in {done.set}: from {done.row['source_id']}, class {done.row['label_name']}", markup=False)
    for drawn in done.record:
        values = ", ".join(f"{name} {_brief(value)}" for name, value in drawn.items() if name != "op")
        out.print(f"  {drawn['op']:<18} {values}", markup=False)
    if not done.record:
        out.print("  as it is")
    if to is not None:
        done.write(to)
        out.print(f"picture {to}", markup=False)
    if not done.equal:
        err.print("what came out now differs from the image that was built: another version of a library?")
        raise typer.Exit(1)
    out.print("made again, pixel for pixel")


# The options of a recipe are the fields of its configuration: each has its sentence there.
_PANELS = {"model": "The model", "fit": "Fitting", "evaluate": "Measuring"}
_TO_FIT, _TO_USE = "Fit a model", "Use what was fitted"


def _recipe_options(of: Recipe | None) -> list[inspect.Parameter]:
    """One option for each field, as the recipe has it where that is known; those of several values are text."""
    options = []
    for section, kind_of_section in SECTIONS.items():
        for field in dataclasses.fields(kind_of_section):
            kind, several = _kind_of(options_of(section)[field.name])
            value = getattr(getattr(of.config, section), field.name) if of else None
            if isinstance(value, tuple):
                value = ",".join(map(str, value)) or None
            says = typer.Option(
                help=field.metadata["help"],
                rich_help_panel=_PANELS[section],
                metavar=f"<{kind.__name__},...>" if several else None,
            )
            options.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=value,
                    annotation=Annotated[(str if several else kind) | None, says],
                )
            )
    return options


def _kind_of(hint: Any) -> tuple[type[Any], bool]:
    """(type of a value, whether an option has several of them)."""
    # tuple[int, ...] and int | None both have what is asked for first.
    return next(iter(get_args(hint)), hint), get_origin(hint) is tuple


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """What a person gave, as the configuration has it. Raises DataError."""
    given = {}
    for section in SECTIONS:
        for name, hint in options_of(section).items():
            kind, several = _kind_of(hint)
            value = options[name]
            given[name] = _values(name, value, kind) if several and value is not None else value
    return given


def _values(name: str, text: str, kind: type[Any]) -> tuple[Any, ...]:
    try:
        return tuple(kind(word) for word in _names([text]))
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise DataError(f"--{name.replace('_', '-')} {text!r}; needed are {what}, separated by commas.") from None


def _with_recipe_options(function: Callable[..., None], of: Recipe | None = None) -> Callable[..., None]:
    """The function as a command that has them too, instead of its **options."""
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    hints = get_type_hints(function, include_extras=True)
    own = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    parameters = [*own, *_recipe_options(of)]

    def command(**given: Any) -> None:
        function(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__doc__ = function.__doc__
    return command


_RUN, _EVALUATE = RunConfig(), EvaluateConfig()


def _says(section: type[Any], name: str) -> str:
    """The sentence that a field of a configuration has for the command line."""
    return str(next(field.metadata["help"] for field in dataclasses.fields(section) if field.name == name))


RunName = Annotated[str | None, typer.Option(help="Of the run's folder; the recipe's by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run of the same options stopped.")]
TrainWorkers = Annotated[int, typer.Option(help="Threads; 0 means one per core.")]
# Where the recipe is a file, which may have them.
FilesArtifacts = Annotated[Path | None, typer.Option(help="Folder for everything that is written, instead of its own.")]
FilesWorkers = Annotated[int | None, typer.Option(help="Threads instead of its own; 0 means one per core.")]
FilesSeed = Annotated[int | None, typer.Option(help="Of everything drawn by chance, instead of its own.")]
A_Run = Annotated[str, typer.Argument(help="Name or folder of a run, or a .keras file.")]
A_Whole_Run = Annotated[str, typer.Argument(help="Name or folder of a run.")]
Runs = Annotated[list[str], typer.Argument(help="Names or folders of runs.")]
Resamples = Annotated[int, typer.Option(help=_says(EvaluateConfig, "resamples"))]
Tta = Annotated[str | None, typer.Option(help=_says(EvaluateConfig, "tta"))]
Filter = Annotated[str | None, typer.Option(help=_says(EvaluateConfig, "filter"))]


def _train_command(recipe: Recipe) -> Callable[..., None]:
    def command(
        name: RunName = None,
        artifacts: Artifacts = Path(_ARTIFACTS),
        resume: Resume = False,
        workers: TrainWorkers = recipe.config.workers,
        seed: Seed = recipe.config.seed,
        as_json: AsJson = False,
        **options: Any,
    ) -> None:
        beside = {"name": name, "artifacts": str(artifacts), "resume": resume, "workers": workers, "seed": seed}
        _train(recipe, _given(options) | beside, as_json)

    command.__doc__ = f"{recipe.about}\n\nIt is meant for what `{recipe.build_command}` makes."
    return _with_recipe_options(command, recipe)


# Ours first.
_RECIPES = [load_recipe(name) for name in sorted(RECIPES, key=lambda name: name != _RUN.recipe)]
for _recipe in _RECIPES:
    train_app.command(_recipe.name, rich_help_panel=_TO_FIT)(_train_command(_recipe))


def _train_run(
    recipe: Annotated[str, typer.Argument(help="A recipe's .toml file, such as a run's config.toml.")],
    name: RunName = None,
    artifacts: FilesArtifacts = None,
    resume: Resume = False,
    workers: FilesWorkers = None,
    seed: FilesSeed = None,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Fit by a recipe of your own: a .toml file."""
    beside = {"name": name, "artifacts": _text(artifacts), "resume": resume, "workers": workers, "seed": seed}
    _train(load_recipe(recipe), _given(options) | beside, as_json)


train_app.command("run", rich_help_panel=_TO_FIT)(_with_recipe_options(_train_run))


def _train(recipe: Recipe, given: dict[str, Any], as_json: bool) -> None:
    from train.runs import metrics_text, run_path
    from train.sets import read_built
    from train.training import train as run

    config = with_options(recipe, given)
    config = dataclasses.replace(config, name=config.name or recipe.name)
    target = run_path(str(config.name), config.artifacts)
    built = read_built(config.artifacts)  # what is wrong with it is told before Keras starts, which takes seconds
    _print_notes([*_meant_for(recipe, config.artifacts), *_begun(target, config.resume)], err)
    _start_keras()
    try:
        done = run(config, Terminal(err if as_json else out, quiet=as_json), built=built)
    except KeyboardInterrupt:
        if _unfinished(target):
            err.print("interrupted; the epochs that were finished are kept: go on with --resume")
        raise
    if as_json:
        print(metrics_text(_trained_json(done)), end="")
    else:
        _print_trained(done, Path(config.artifacts))


def _meant_for(recipe: Recipe, artifacts: str) -> list[str]:
    """A note where the built set was made by another policy than the recipe's."""
    from train.sets import policy_of

    built_by = policy_of(artifacts)
    if not built_by or not recipe.policy or built_by == recipe.policy:
        return []
    return [f"{recipe.name} is meant for what `{recipe.build_command}` makes; this was built by {built_by}"]


def _begun(target: Path, resume: bool) -> list[str]:
    """A note where a run begins anew that could go on, or could not and was to."""
    draft = _unfinished(target)
    if draft and not resume:
        return [f"an unfinished run was in {draft}, and begins anew; --resume would have gone on"]
    return ["nothing to resume: fitting from the start"] if resume and not draft else []


def _unfinished(target: Path) -> Path | None:
    """Where an interrupted run has come to, None where that is nowhere."""
    from train.checkpoints import FILE

    draft = target.with_name(f"{target.name}.partial")
    # Of several seeds or folds one may be through.
    return draft if {FILE, "manifest.json"} & {path.name for path in draft.rglob("*.*")} else None


def _start_keras() -> None:
    """Import Keras without what its backend writes to the terminal as it starts; what goes wrong is raised."""
    # That there is no GPU is an error to it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _print_trained(done: Trained, artifacts: Path) -> None:
    metrics = done.metrics
    out.print()
    _print_measured(metrics)
    out.print()
    for name, spread in (metrics.spread or {}).items():
        values = ", ".join(f"{value:.3f}" for value in spread.values)
        out.print(f"spread  {name} {spread.mean:.3f} ± {spread.sd:.3f} ({values})")
    kept = metrics.fit.kept
    epoch = f"epoch {kept.epoch} of stage {kept.stage}" if kept.stage else "the probe"
    out.print(f"kept    {epoch}, {kept.score:.3f} on val by {metrics.fit.by}")
    if metrics.clean:
        worst = metrics.clean.worst_class
        out.print(f"worst   {worst.class_name}: recall {worst.recall:.3f} on clean images", markup=False)
    out.print("time    " + ", ".join(f"{name} {value:.0f} s" for name, value in done.seconds.items()))
    _print_notes(done.notes)
    out.print(f"report  {done.path / 'report.html'}      model  {done.path / 'model.keras'}", markup=False)
    elsewhere = _elsewhere(artifacts)
    out.print(f"next    train predict {done.path.name} FILE{elsewhere}    or look first: open the report", markup=False)


def _print_measured(metrics: Metrics) -> None:
    """The figures that a person looks for: accuracy on each kind of image, with its interval."""
    import pandas as pd

    from train.predicting import views_in_words

    rows: list[dict[str, object]] = []

    def add(name: str, accuracy: float, interval: tuple[float, float]) -> None:
        low, high = interval
        rows.append({"measured on": name, "accuracy": accuracy, "95 % from": low, "to": high})

    if metrics.clean:
        add("clean test images", metrics.clean.accuracy, metrics.clean.interval)
    else:
        for name, measures in (("val", metrics.val), ("train", metrics.train)):
            if measures:
                add(name, measures.accuracy, measures.interval)
    # What a model is selected by is told of where nothing else is.
    shifted = metrics.benchmark or (None if rows else metrics.selection)
    if shifted and shifted.mean_accuracy is not None and shifted.interval and shifted.corruptions:
        count = len(shifted.corruptions)
        add(f"{count} corruptions, mean" if count > 1 else "1 corruption", shifted.mean_accuracy, shifted.interval)
        for words, means in (
            ("disjoint from", shifted.disjoint), ("near", shifted.near), ("identical to", shifted.identical)
        ):  # fmt: skip
            if means:
                add(f"  {words} the policy", means.mean_accuracy, means.interval)
    for name, track in (shifted.composed if shifted and shifted.composed else {}).items():
        add(f"{name.split('-')[1]} corruptions at once", track.accuracy, track.interval)
    for name, measures in metrics.external_measures.items():
        add(name, measures.accuracy, measures.interval)
    _print_table(pd.DataFrame(rows))
    if views_in_words(metrics):
        out.print(f"  {views_in_words(metrics)}; --tta none looks once", style="dim", markup=False)
    against = metrics.benchmark.baseline if metrics.benchmark else None
    if against:
        errors = ", ".join(
            f"{name} {'not known' if error is None else format(error, '.3f')}"
            for name, error in (("mean corruption error", against.mce), ("relative to clean", against.relative_mce))
        )
        out.print(f"\nagainst {against.run}: {errors} (1 is as bad as it)", markup=False)


def _trained_json(done: Trained) -> dict[str, object]:
    return {
        "path": str(done.path),
        "metrics": done.metrics,
        "history": done.history.to_dict("records"),
        "seconds": dict(done.seconds),
        "notes": list(done.notes),
    }


@train_app.command("recipes", rich_help_panel=_TO_FIT)
def train_recipes() -> None:
    """List the recipes: whose they are, and what their data are built by."""
    for of in _RECIPES:
        out.print(f"[bold]{of.name}[/bold]  ({', '.join(of.config.model.backbone)})")
        out.print(f"    {of.about}", markup=False)
        out.print(f"    {of.origin}", markup=False, style="dim")
        out.print(f"    {of.build_command}", markup=False, style="dim")
    out.print("\nfit     train NAME      your own: train run mine.toml", markup=False)


@train_app.command("evaluate", rich_help_panel=_TO_USE)
def train_evaluate(
    model: A_Run = _RUN.recipe,
    sets: Annotated[
        list[str] | None,
        typer.Argument(help="test, val, benchmark, one of its sets such as fog-3, or a path; by default all of them."),
    ] = None,
    benchmark: Annotated[bool, typer.Option(help=_says(EvaluateConfig, "benchmark"))] = _EVALUATE.benchmark,
    external: Annotated[
        list[str] | None, typer.Option(help=f"{_says(EvaluateConfig, 'external')} Repeat, or separate by commas.")
    ] = None,
    tta: Tta = _EVALUATE.tta,
    filter: Filter = _EVALUATE.filter,
    baseline: Annotated[str | None, typer.Option(help=_says(EvaluateConfig, "baseline"))] = None,
    resamples: Resamples = _EVALUATE.resamples,
    to: Annotated[Path | None, typer.Option("--out", help="JSON of all measures.")] = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
    workers: TrainWorkers = _RUN.workers,
    seed: Seed = _RUN.seed,
    as_json: AsJson = False,
) -> None:
    """Measure a model again: on other sets, with test-time augmentation, against a baseline."""
    from train.evaluation import evaluate as run
    from train.runs import find_model, metrics_text

    config = EvaluateConfig(benchmark, _names(external), tta, filter, baseline, resamples)
    find_model(model, artifacts)  # before Keras starts
    _start_keras()
    found = run(
        model, sets or (), config, artifacts=artifacts, workers=workers, seed=seed,
        reporter=Terminal(err if as_json else out, quiet=as_json),
    )  # fmt: skip
    if to is not None:
        from curate.stage.files import write_text

        write_text(metrics_text(found.metrics), to)
    if as_json:
        print(metrics_text(found.metrics), end="")
        return
    out.print()
    _print_measured(found.metrics)
    _print_notes(found.notes)
    if to is not None:
        out.print(f"all measures  {to}", markup=False)


@train_app.command("compare", rich_help_panel=_TO_USE)
def train_compare(
    runs: Runs,
    artifacts: Artifacts = Path(_ARTIFACTS),
    resamples: Resamples = _EVALUATE.resamples,
    seed: Seed = _RUN.seed,
    as_json: AsJson = False,
) -> None:
    """Put runs side by side, and test each against the first on the same images."""
    from train.comparing import compare as run
    from train.runs import metrics_text

    found = run(runs, artifacts=artifacts, resamples=resamples, seed=seed)
    if as_json:
        tables = {"table": found.table.to_dict("records"), "tests": found.tests.to_dict("records")}
        print(metrics_text({**tables, "notes": found.notes}), end="")
        return
    _print_table(found.table.rename(columns={"low": "95 % from", "high": "to"}))
    out.print()
    tests = found.tests.rename(columns={"p_adjusted": "adjusted"})
    _print_table(tests, "differences: intervals by bootstrap over sources, p by exchanging answers")
    _print_notes(found.notes)


@train_app.command("ensemble", rich_help_panel=_TO_USE)
def train_ensemble(
    runs: Runs,
    how: Annotated[str, typer.Option(help="mean, weighted, vote or one-vs-rest.")] = "mean",
    name: Annotated[str, typer.Option(help="Of the run's folder.")] = "ensemble",
    artifacts: Artifacts = Path(_ARTIFACTS),
    resamples: Resamples = _EVALUATE.resamples,
    seed: Seed = _RUN.seed,
) -> None:
    """Join what several runs predict, as a run of its own."""
    from train.configs import EnsembleConfig
    from train.ensembles import ensemble as run

    done = run(runs, EnsembleConfig(how, name, str(artifacts), resamples, seed), Terminal(out))
    out.print()
    _print_measured(done.metrics)
    _print_notes(done.notes)
    out.print(f"run     {done.path}", markup=False)
    out.print(f"next    train compare {shlex.join([name, *runs])}{_elsewhere(artifacts)}", markup=False)


# Of the table of hardest images, what fits a screen.
_HARDEST = ["id", "class", "said", "clean", "corrupted", "wrong", "worst_set"], 8


@train_app.command("explain", rich_help_panel=_TO_USE)
def train_explain(
    run: A_Whole_Run = _RUN.recipe,
    images: Annotated[
        list[str] | None, typer.Option(help="Ids of test images to show. Repeat, or separate by commas.")
    ] = None,
    artifacts: Artifacts = Path(_ARTIFACTS),
) -> None:
    """Show what a model looks at (Grad-CAM), right, wrong and under corruption, and the images hardest for it."""
    from train.explanation import explain
    from train.runs import find_run

    find_run(run, artifacts)  # before Keras starts
    _start_keras()
    made, path = explain(run, artifacts, Terminal(out), _names(images))
    if not images:
        columns, count = _HARDEST
        _print_table(
            made.hardest[columns].head(count).rename(columns={"worst_set": "worst under"}),
            "hardest images: what each is said to be, the probability of its class, the share wrong under corruption",
        )
        out.print()
    out.print(f"picture {path}", markup=False)


@train_app.command("predict", rich_help_panel=_TO_USE)
def train_predict(
    model: A_Run,
    source: Source,
    to: Annotated[Path, typer.Option("--out", help="A .csv or .parquet file.")] = Path("predictions.csv"),
    tta: Tta = _EVALUATE.tta,
    filter: Filter = _EVALUATE.filter,
    artifacts: Artifacts = Path(_ARTIFACTS),
    workers: TrainWorkers = _RUN.workers,
) -> None:
    """Predict the classes of images; labels are not needed."""
    from train.predicting import predict as run
    from train.runs import find_model

    config = EvaluateConfig(tta=tta, filter=filter)
    find_model(model, artifacts)  # before Keras starts
    _start_keras()
    done = run(model, source, config, out=to, artifacts=artifacts, workers=workers, reporter=Terminal(out))
    counts = done.table["predicted"].value_counts()
    told = ", ".join(f"{count:,} {name or 'without a class'}" for name, count in counts.items())
    out.print(f"{len(done.table):,} images: {told}", markup=False)
    _print_notes(done.notes)
    out.print(f"table   {done.path}", markup=False)


@train_app.command("export", rich_help_panel=_TO_USE)
def train_export(
    model: A_Run,
    to: Annotated[str, typer.Option("--to", help="onnx, tflite, savedmodel or openvino.")],
    path: Annotated[Path | None, typer.Option("--out", help="Folder; by default export/ beside the model.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    artifacts: Artifacts = Path(_ARTIFACTS),
) -> None:
    """Write a model as other tools read it, once it has been seen to predict the same there."""
    from train.exporting import export as run
    from train.predicting import as_measured, classes_of
    from train.runs import find_model

    found = find_model(model, artifacts)
    done = run(found, to, classes_of(found, artifacts)[0], path, force, Terminal(out))
    out.print(
        f"{', '.join(done.files)}: {done.bytes / 1e6:.1f} MB; probabilities differ by {done.worst:.1g} at most",
        markup=False,
    )
    out.print(f"written {done.path}      to load it:", markup=False)
    out.print("\n".join(f"  {line}" for line in done.load.splitlines()), markup=False)
    views = as_measured(found, EvaluateConfig()).tta
    if views != "none":
        _print_notes([f"the run was measured by several looks at each picture ({views}), and this model looks once"])


def _train_tune(
    recipe: Annotated[str, typer.Argument(help="A recipe, by name or as a .toml file.")] = _RUN.recipe,
    space: Annotated[
        Path | None, typer.Option(help="A .toml of what may be drawn; by default one that comes with us.")
    ] = None,
    how: Annotated[str, typer.Option(help="random, bayesian or hyperband.")] = "random",
    trials: Annotated[int, typer.Option(help="At most.")] = 20,
    trial_epochs: Annotated[int, typer.Option(help="Of each stage of a trial; 0 takes the recipe's.")] = 3,
    name: Annotated[str | None, typer.Option(help="Of the search's folder; the recipe's by default.")] = None,
    artifacts: FilesArtifacts = None,
    workers: FilesWorkers = None,
    seed: FilesSeed = None,
    **options: Any,
) -> None:
    """Search for options that do better on the validation corruptions; what was tried before is not fitted again."""
    from train.sets import read_built
    from train.training import score_of
    from train.tuning import TuneConfig
    from train.tuning import tune as run

    beside = {"name": name, "artifacts": _text(artifacts), "workers": workers, "seed": seed}
    read = load_recipe(recipe)
    read = dataclasses.replace(read, config=with_options(read, _given(options) | beside))
    config = TuneConfig(_text(space), how, trials, trial_epochs)
    built = read_built(read.config.artifacts)  # before Keras starts
    _start_keras()
    try:
        done = run(read, config, functools.partial(score_of, built=built), Terminal(out))
    except KeyboardInterrupt:
        err.print("interrupted; the trials that were finished are kept: the same command goes on")
        raise
    best = ", ".join(f"{key} {_brief(value)}" for key, value in done.best.options.items())
    out.print(f"best of {len(done.trials)}: {done.best.score:.4f} with {best}", markup=False)
    out.print(f"trials  {done.path / 'trials.csv'}", markup=False)
    out.print(f"next    train run {done.path / 'best.toml'}", markup=False)


train_app.command("tune", rich_help_panel=_TO_FIT)(_with_recipe_options(_train_tune))


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _size(text: str) -> tuple[int, int] | None:
    """(width, height) of "96x96" or "96"."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise DataError(f"--size {text!r} is no size; needed is WIDTHxHEIGHT, as in 96x96.")
    return int(match[1]), int(match[2] or match[1])


def _elsewhere(artifacts: Path) -> str:
    return "" if str(artifacts) == _ARTIFACTS else f" --artifacts {shlex.quote(str(artifacts))}"


def _print_table(frame: pd.DataFrame, title: str = "") -> None:
    table = Table(
        box=None, pad_edge=False, padding=(0, 2), header_style="dim", title=title or None, title_justify="left"
    )
    for name in frame.columns:
        number = frame[name].dtype.kind in "iuf"
        # Sentences give way on a narrow screen, nothing else does.
        table.add_column(str(name), justify="right" if number else "left", no_wrap=name != "because")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        if 0 < value < 0.0005:  # a p is never 0
            return "<0.001"
        return "" if value != value else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))


def _print_notes(notes: Iterable[str], to: Console = out) -> None:
    for note in notes:
        to.print(f"note    {note}", markup=False, style="dim")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _names(given: list[str] | None) -> tuple[str, ...]:
    return tuple(name.strip() for part in given or () for name in part.split(",") if name.strip())


def _thresholds(given: list[str] | None) -> dict[str, float]:
    values = {}
    for pair in _names(given):
        name, _, value = pair.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            raise DataError(f"--threshold {pair!r} is not CHECK=SCORE, as in --threshold dark=0.6.") from None
    return values


Condition = tuple[str, str, float]
_OPERATORS = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
}


def _conditions(text: str) -> list[Condition]:
    """The conditions of --fail-on: a check or a verdict, a comparison, a number."""
    known = (*SEVERITY, KEEP, DROP, REVIEW)
    conditions = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(\w+)\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d*)?)", part)
        if not match:
            raise DataError(f'--fail-on {part!r} is not a condition; needed is one such as "leak>0" or "drop>=100".')
        if match[1] not in known:
            raise UnknownName.among("check or verdict", match[1], known)
        conditions.append((match[1], match[2], float(match[3])))
    return conditions


def _fail_on(conditions: list[Condition], found: Scan) -> None:
    counts = found.findings["check"].value_counts().to_dict() | found.table["verdict"].value_counts().to_dict()
    broken = [
        f"{name} is {counts.get(name, 0)} ({op}{bound:g})"
        for name, op, bound in conditions
        if _OPERATORS[op](counts.get(name, 0), bound)
    ]
    if broken:
        err.print(f"failed on: {'; '.join(broken)}", markup=False)
        raise typer.Exit(1)


if __name__ == "__main__":
    apps = {"curate": curate_app, "augment": augment_app, "train": train_app}
    name = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in apps else "curate"
    apps[name]()
