"""augment's commands: each reads its options, calls the function of the same name, and prints what came of it."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commandline import Takes, application, command
from curate.stage.errors import UnknownName
from curate.stage.options import spelled
from curate.terminal import Output, brief, elsewhere, err, out, print_json, print_table, records

from .configs import SETS, BuildConfig, PreviewConfig, ReplayConfig

if TYPE_CHECKING:
    from .building import Built
    from .replaying import Replayed

# What builds is imported where it is called: it loads numpy and pandas.

app = application("augment", "Build balanced training data and a corrupted domain-shift benchmark.")
ScannedSet = Annotated[Path | None, typer.Argument(help="The scanned set; by default its clean set.")]
AnySet = Annotated[Path | None, typer.Argument(help="Any set; by default the clean set, else synthetic cells.")]
# What each command that looks ahead takes of a build.
PLANNED = (
    "policy", "functions", "copies", "balance", "cap", "train", "val", "test", "balanced_test", "per_class", "fresh",
    "min_class", "size", "labels", "artifacts", "seed",
)  # fmt: skip
PREVIEWED = ("policy", "functions", "severities", "size", "labels", "artifacts", "seed")
JUDGED = ("policy", "functions", "benchmark", "backbone", "labels", "artifacts", "seed")


@command(app, takes={"config": Takes(BuildConfig, only=PLANNED)})
def plan(config: BuildConfig, output: Output, source: ScannedSet = None) -> None:
    """Say how many images of each class a build would make, before a byte is written."""
    with output.reporter.stage("starting", None, ""):
        from .planning import plan as run

    with output.reporter.stage("planning", None, ""):
        result = run(source, config)
    build_command = f"{_build_command(source, config)}{elsewhere(config.artifacts)}"
    if output.as_json:
        print_json(
            {
                "classes": records(result.copy_plan.table),
                "images": dict(result.images),
                "size": list(result.size),
                "bytes": result.bytes,
                "notes": list(result.notes),
                "next": build_command,
            }
        )
        return
    print_table(result.copy_plan.table)
    out.print()
    counts = ", ".join(f"{name} {number:,}" for name, number in result.images.items())
    width, height = result.size
    out.print(f"images  {counts}; {width}x{height}, {result.bytes / 1e6:,.0f} MB without the benchmark")
    output.print_notes(result.notes)
    out.print(f"next    {build_command}", whole=True)


def _build_command(source: Path | None, config: BuildConfig) -> str:
    """The command that builds what was planned."""
    words = ["augment", "build", *([str(source)] if source else []), "--policy", config.policy]
    return shlex.join([*words, *spelled(config, leave=("policy", "artifacts"))])


@command(app)
def policies(output: Output) -> None:
    """List the policies: what each is for, and the paper or report that it is from."""
    from .policies import library

    listed = [library.policy(name) for name in library.names()]
    if output.as_json:
        print_json(
            [
                {"name": policy.name, "copies": policy.copies, "about": policy.about, "origin": policy.origin}
                for policy in listed
            ]
        )
        return
    for policy in listed:
        out.print(f"{policy.name}  ({policy.copies} {'copy' if policy.copies == 1 else 'copies'})", style="bold")
        out.print(f"    {policy.about}")
        if policy.origin:
            out.print(f"    {policy.origin}", style="dim")
    if not output.quiet:
        out.print()
        out.print("look    augment preview --policy NAME      your own: a .toml file, or file.py:function", whole=True)


@command(app)
def corruptions(output: Output) -> None:
    """List the corruptions of the benchmark: family, role, the sets that they belong to."""
    import pandas as pd

    from .corruptions.corruption import CORRUPTIONS

    table = pd.DataFrame(
        [
            (corruption.name, corruption.family, corruption.role, ", ".join(corruption.sets), corruption.operation.name)
            for corruption in CORRUPTIONS.values()
        ],
        columns=["corruption", "family", "role", "sets", "operation"],
    )
    if output.as_json:
        print_json(records(table))
        return
    print_table(table)


@command(app, takes={"config": Takes(BuildConfig, only=PREVIEWED)})
def preview(config: BuildConfig, sheet: PreviewConfig, output: Output, source: AnySet = None) -> None:
    """Show what a policy makes of some pictures, or what the corruptions do, as a contact sheet."""
    with output.reporter.stage("starting", None, ""):
        from .previewing import CORRUPTIONS, POLICIES, POLICY
        from .previewing import preview as run

    show = POLICIES if sheet.policies else CORRUPTIONS if sheet.corruptions else POLICY
    say = output.reporter.say
    path = Path(sheet.out) if sheet.out is not None else Path(config.artifacts, "preview.png")
    with output.reporter.stage("drawing", None, ""):
        run(source, config, path, show=show, copies=sheet.copies, images=sheet.images, say=say)
    if output.as_json:
        print_json({"sheet": str(path)})
        return
    out.print(f"sheet   {path}", whole=True)


@command(app, takes={"config": Takes(BuildConfig, only=JUDGED)})
def overlap(config: BuildConfig, output: Output, source: AnySet = None) -> None:
    """Say of each corruption of the benchmark whether a policy contains it: disjoint, near or identical."""
    with output.reporter.stage("starting", None, ""):
        from .judging import judge

    if not config.benchmark:
        raise UnknownName.among("set of corruptions", "none", SETS)
    table = judge(source, replace(config, allow_overlap=True), output.reporter)
    if output.as_json:
        print_json(records(table))
        return
    out.print()
    print_table(table, sentence="because")


@command(app)
def build(config: BuildConfig, output: Output, source: ScannedSet = None) -> None:
    """Make the sets to train on: splits that do not leak, balanced augmented copies, a benchmark of shifted domains."""
    with output.reporter.stage("starting", None, ""):
        from .building import build as run

    result = run(source, config, output.reporter)
    if output.as_json:
        print_json(_build_json(result))
    else:
        _print_built(result, Path(config.artifacts), output)


def _print_built(built: Built, artifacts: Path, output: Output) -> None:
    out.print()
    print_table(built.counts[["class", "train", "copies", "val", "test"]])
    out.print()
    if built.benchmark is not None:
        sets = built.benchmark.sets
        names = {role: {s.corruption for s in sets if s.role == role} for role in ("test", "validation")}
        benchmark_images = sum(s.images for s in sets)
        out.print(
            f"benchmark  {len(sets)} sets of {benchmark_images:,} images: {len(names['test'])} corruptions and "
            f"composed tracks for testing, {len(names['validation'])} for selection"
        )
        if built.counts["copies"].any():
            verdicts = Counter({s.corruption: s.verdict for s in sets if s.role == "test"}.values())
            counts = ", ".join(
                f"{verdicts[name]} {name}" for name in ("disjoint", "near", "identical") if verdicts[name]
            )
            name = built.decisions.policy.name
            out.print(f"overlap    {name} against the test: {counts}    details: augment overlap")
    lost = built.plan.labels_lost
    if lost is not None:
        copies = int(built.counts["copies"].sum())
        out.print(
            f"labels     {built.redrawn:,} of {copies:,} copies redrawn because the label probe rejected them; "
            f"{built.doubted:,} still rejected"
        )
        worst = [row for row in lost if row.lost >= _WORTH_TELLING][:3]
        if worst:
            most = ", ".join(f"{row.operation} {row.lost:.1%}" for row in worst)
            out.print(f"           label loss by operation: {most}")
    seconds = built.seconds.get("training images", 0)
    images = built.images.get("train", 0)
    if built.resumed:
        out.print(f"resumed    {built.resumed:,} shards already built")
    elif seconds:
        out.print(f"speed      {images:,} training images in {seconds:.1f} s, {images / seconds:,.0f} a second")
    output.print_notes(built.notes)
    output.print_seconds(built.seconds)
    out.print(f"built   {built.path}", whole=True)
    lacking = _lacking(built)
    if lacking:
        out.print(f"next    more images, as `train` needs {lacking}    or look first: augment preview", whole=True)
    else:
        out.print(f"next    train baseline{elsewhere(artifacts)}    or look first: augment preview", whole=True)


def _lacking(built: Built) -> str:
    """What a build has not that `train` cannot do without; "" where it can be trained on."""
    from curate.builds import SPLITS
    from curate.sets.classes import joined_names

    empty = [name for name in SPLITS if not built.counts[name].any()]
    if empty:
        return f"images in {joined_names(empty)}"
    return "two classes in train" if (built.counts["train"] > 0).sum() < 2 else ""


_WORTH_TELLING = 0.02


def _build_json(built: Built) -> dict[str, object]:
    from curate.stage.records import document_of

    return {
        "path": str(built.path),
        "images": dict(built.images),
        "counts": records(built.counts),
        "plan": document_of(built.plan),
        "benchmark": document_of(built.benchmark),
        "redrawn": built.redrawn,
        "doubted": built.doubted,
        "resumed": built.resumed,
        "seconds": dict(built.seconds),
    }


@command(app)
def replay(
    id: Annotated[str, typer.Argument(help="Id of an image of a built set, such as 17+2.")],
    config: ReplayConfig,
    output: Output,
) -> None:
    """Reproduce one image of a built set from its source and its record, and list its operations."""
    with output.reporter.stage("starting", None, ""):
        from .replaying import replay as run

    with output.reporter.stage("replaying", None, ""):
        result = run(id, config.artifacts, config.set, config.functions)
    picture = None if config.out is None else Path(config.out)
    if picture is not None:
        result.write(picture)
    if output.as_json:
        print_json(
            {
                "id": id,
                "set": result.set,
                "source_id": result.row.source_id,
                "class": result.row.label_name,
                "record": list(result.record),
                "picture": None if picture is None else str(picture),
                "equal": result.equal,
            }
        )
    else:
        _print_replayed(id, result, picture)
    if not result.equal:
        err.print("the image made now differs from the one that was built: another version of a library?")
        raise typer.Exit(1)
    if not output.as_json:
        out.print("reproduced, pixel for pixel")


def _print_replayed(id: str, result: Replayed, picture: Path | None) -> None:
    out.print(f"{id} in {result.set}: from {result.row.source_id}, class {result.row.label_name}")
    for step in result.record:
        values = ", ".join(f"{name} {brief(value)}" for name, value in step.items() if name != "op")
        out.print(f"  {step['op']:<18} {values}")
    if not result.record:
        out.print("  unchanged")
    if picture is not None:
        out.print(f"picture {picture}", whole=True)
