"""Accuracy of models: by the policy of their data, by the recipe, with and without cleaning.

    python benchmarks/training.py policies data.npz --external other.npz
    python benchmarks/training.py recipes data.npz --backbone MobileNetV2-0.35
    python benchmarks/training.py cleaning dirty.npz --truth dirty.truth.json
    python benchmarks/training.py options --run artifacts/runs/baseline
    python benchmarks/training.py elsewhere --run artifacts/runs/baseline --external other.npz

All are measured on the same test images and the same benchmark, which is made of them. Scans, builds and runs stay in
--work, and what is there is not made again: delete it to begin anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from curate.stage.drafts import draft_path

ROOT = Path(__file__).resolve().parents[1]
STEPS = 5  # times as many images as without copies are in the build of a policy with four
POLICIES = ("none", "light", "moderate", "heavy")
RECIPES = ("baseline", "m2g", "hidden-players", "hendrix", "ai-pacapa", "bloodmnist")
MIDDLE = 3  # of five severities
VIEWS = ("none", "flips", "dihedral", "scales")
FILTERS = ("high-pass", "denoise", "nucleus")
HEAD = ("clean", "27 corruptions", "composed of 2", "composed of 3")


def command(*words: object) -> str:
    """What one of our commands prints; its progress goes to the terminal."""
    process = subprocess.run(
        [sys.executable, "cli.py", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}")
    return process.stdout


def scanned(source: Path, artifacts: Path) -> None:
    if not (artifacts / "scan" / "manifest.json").exists():
        command("curate", "scan", source, "--map", "none", "--artifacts", artifacts)


def built(source: Path | None, artifacts: Path, *options: object) -> None:
    if not (artifacts / "built" / "manifest.json").exists():
        sources = [] if source is None else [source]
        command("augment", "build", *sources, "--artifacts", artifacts, *options)


def trained(recipe: str, artifacts: Path, name: str, *options: object) -> tuple[dict[str, Any], float]:
    """(what metrics.json holds, seconds of the run)."""
    folder = artifacts / "runs" / name
    if not (folder / "manifest.json").exists():
        began = time.perf_counter()
        begun = ["--resume"] if draft_path(folder).exists() else []
        command("train", recipe, "--name", name, "--artifacts", artifacts, *begun, *options)
        (artifacts / "runs" / f"{name}.seconds").write_text(f"{time.perf_counter() - began:.0f}")
    seconds = float((artifacts / "runs" / f"{name}.seconds").read_text())
    return json.loads((folder / "metrics.json").read_text()), seconds


def cells(metrics: dict[str, Any], external: str = "") -> list[str]:
    """Accuracy and interval of each of HEAD, and of the set from elsewhere."""
    shifted = metrics["benchmark"]
    scores = [
        (metrics["clean"]["accuracy"], metrics["clean"]["interval"]),
        (shifted["mean_accuracy"], shifted["interval"]),
        *(
            (shifted["composed"][name]["accuracy"], shifted["composed"][name]["interval"])
            for name in sorted(shifted["composed"])
        ),
    ]
    if external:
        scores.append((metrics["external"][external]["accuracy"], metrics["external"][external]["interval"]))
    return [f"{value:.3f} ({low:.3f}..{high:.3f})" for value, (low, high) in scores]


def row(*values: object) -> None:
    print("| " + " | ".join(map(str, values)) + " |", flush=True)


def heading(*names: str) -> None:
    row(*names)
    row(*("---" for _ in names))


def policies(arguments: argparse.Namespace) -> None:
    """The same recipe on data of each policy; `none` has no copies, and is fitted once more for as many steps.

    With --only any policy is taken, also one of what the benchmark is made of: only images from elsewhere judge that.
    """
    from train.recipe import load_recipe

    scanned(arguments.source, arguments.work / "scan")
    external = ["--external", arguments.external] if arguments.external else []
    (epochs,) = load_recipe("baseline").config.fit.epochs
    heading("policy", "images", "epochs", *HEAD, *([arguments.external.stem] if arguments.external else []), "minutes")
    for policy in arguments.only or POLICIES:
        artifacts = arguments.work / policy
        flags = ["--copies", 0, "--balance", "weights"] if policy == "none" else ["--policy", policy, "--allow-overlap"]
        shared(arguments.work / "scan", artifacts)
        built(None, artifacts, *flags)
        images = json.loads((artifacts / "built" / "manifest.json").read_text())["counts"]["train"]
        for times in (1, STEPS) if policy == "none" else (1,):
            name = "baseline" if times == 1 else "baseline-longer"
            options = ["--epochs", epochs * times, *external, *arguments.options]
            metrics, seconds = trained("baseline", artifacts, name, *options)
            scores = cells(metrics, arguments.external.name if arguments.external else "")
            row(policy, f"{images:,}", epochs * times, *scores, f"{seconds / 60:.1f}")


def shared(scan: Path, artifacts: Path) -> None:
    """The same scan and clean set for another build."""
    artifacts.mkdir(parents=True, exist_ok=True)
    for name in ("scan", "clean.npz"):
        if not (artifacts / name).exists():
            (artifacts / name).symlink_to((scan / name).resolve())


def recipes(arguments: argparse.Namespace) -> None:
    """Each recipe on the data that it asks for, with one backbone in the place of all."""
    from train.recipe import load_recipe

    scanned(arguments.source, arguments.work / "scan")
    heading("recipe", "images", *HEAD, "minutes")
    for name in arguments.only or RECIPES:
        recipe = load_recipe(name)
        artifacts = arguments.work / f"recipe-{name}"
        shared(arguments.work / "scan", artifacts)
        built(None, artifacts, *recipe.build_command.split()[2:])
        backbone = ["--backbone", arguments.backbone] if arguments.backbone else []
        metrics, seconds = trained(name, artifacts, name, *backbone, *arguments.options)
        images = json.loads((artifacts / "built" / "manifest.json").read_text())["counts"]["train"]
        row(name, f"{images:,}", *cells(metrics), f"{seconds / 60:.1f}")


def cleaning(arguments: argparse.Namespace) -> None:
    """The same recipe on a dirty set as it is, and cleaned; tested on the rows that the truth knows to be clean."""
    truth = json.loads(arguments.truth.read_text())
    dirty, test = split_by_truth(arguments.source, truth, arguments.work)
    heading("train on", "images", "clean test images", "minutes")
    for name, source in (("raw", dirty), ("cleaned", None)):
        artifacts = arguments.work / name
        scanned(dirty, artifacts)
        built(source, artifacts, "--benchmark", "none")
        metrics, seconds = trained("baseline", artifacts, "baseline", "--external", test, *arguments.options)
        scores = metrics["external"][test.name]
        images = json.loads((artifacts / "built" / "manifest.json").read_text())["counts"]["train"]
        low, high = scores["interval"]
        row(name, f"{images:,}", f"{scores['accuracy']:.3f} ({low:.3f}..{high:.3f})", f"{seconds / 60:.1f}")


def split_by_truth(source: Path, truth: dict[str, Any], work: Path) -> tuple[Path, Path]:
    """Two files: the dirty set without a fifth of its clean originals, and that fifth.

    No row whose copy was planted is among them.
    """
    with np.load(source) as archive:
        arrays = {name: archive[name] for name in archive.files}
    planted = {int(row["row"]) for row in truth["planted"]}
    copied = {row["of"] for row in truth["planted"] if isinstance(row.get("of"), int)}
    free = [row for row in range(len(arrays["labels"])) if row not in planted | copied]
    test_rows = np.sort(np.random.default_rng(0).permutation(free)[: len(free) // 5])
    kept = np.setdiff1d(np.arange(len(arrays["labels"])), test_rows)
    work.mkdir(parents=True, exist_ok=True)
    paths = work / "dirty.npz", work / "held-out.npz"
    for path, rows in zip(paths, (kept, test_rows), strict=True):
        if not path.exists():
            n = len(arrays["labels"])
            np.savez(path, **{name: array[rows] if len(array) == n else array for name, array in arrays.items()})
    return paths


def options(arguments: argparse.Namespace) -> None:
    """A finished run measured with each way of test-time augmentation and each filter; on the middle severity only."""
    artifacts = arguments.run.parents[1]
    external = ["--external", arguments.external] if arguments.external else []
    listed = json.loads((artifacts / "built" / "benchmark.json").read_text())["sets"]
    sets = [entry["name"] for entry in listed if entry["role"] == "test" and entry.get("severity", MIDDLE) == MIDDLE]
    heading("at test time", *HEAD, *([arguments.external.stem] if arguments.external else []))
    for tta, filter in [*((view, "none") for view in VIEWS), *(("none", name) for name in FILTERS)]:
        flags = ["--tta", tta, "--filter", filter, "--artifacts", artifacts, *external]
        metrics = json.loads(command("train", "evaluate", arguments.run, "test", *sets, *flags, "--json"))
        name = next((value for value in (tta, filter) if value != "none"), "nothing")
        row(name, *cells(metrics, arguments.external.name if arguments.external else ""))


def elsewhere(arguments: argparse.Namespace) -> None:
    """What keeps a model from images from elsewhere: how large things are in them, or their colours, made like ours."""
    from curate.stage.engine import cores
    from train.configs import EvaluateConfig
    from train.intervals import intervals
    from train.predicting import SAMPLE, as_measured, load_predictor, zoomed
    from train.sets import read_built, read_set

    artifacts = arguments.run.parents[1]
    built = read_built(artifacts)
    originals = built.train.batch(np.flatnonzero(built.train.copies == 0))
    foreign = read_set(arguments.external, built.classes, artifacts, built.test.size)
    pictures = foreign.batch(np.arange(len(foreign)))
    model = arguments.run / "model.keras"
    predictor = load_predictor(model, originals[:SAMPLE], built.classes, as_measured(model, EvaluateConfig()), cores())
    heading("images from elsewhere", "accuracy", "mean recall", *built.classes)
    for colours in (False, True):
        inputs = coloured_as(pictures, originals) if colours else pictures
        for zoom in (1, 0.9, 0.8, 0.7):
            predictions = predictor(zoomed(inputs, zoom)).argmax(axis=1)
            correct = predictions == foreign.labels
            (low, high) = intervals(foreign.labels, predictions, foreign.groups, len(built.classes), 1000, 0)[
                "accuracy"
            ]
            recalls = [correct[foreign.labels == label].mean() for label in range(len(built.classes))]
            size = f"{zoom:.0%} as large" if zoom != 1 else ""
            name = ", ".join(filter(None, ("our colours" if colours else "", size))) or "as they are"
            values = [f"{value:.3f}" for value in (np.mean(recalls), *recalls)]
            row(name, f"{correct.mean():.3f} ({low:.3f}..{high:.3f})", *values)


def coloured_as(pictures: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """uint8 (n, H, W, 3): each channel of Lab with the mean and spread that it has in other pictures.

    Reinhard et al., Color Transfer between Images, 2001; here between sets, each taken as one picture.
    """
    import cv2

    def in_lab(images: np.ndarray) -> np.ndarray:
        return np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2LAB) for image in images]).astype(np.float32)

    picture_lab, reference_lab, over = in_lab(pictures), in_lab(reference), (0, 1, 2)
    normal = (picture_lab - picture_lab.mean(over)) / picture_lab.std(over)
    scaled = normal * reference_lab.std(over) + reference_lab.mean(over)
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_LAB2RGB) for picture in np.clip(scaled, 0, 255).astype(np.uint8)])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {
        "policies": policies,
        "recipes": recipes,
        "cleaning": cleaning,
        "options": options,
        "elsewhere": elsewhere,
    }
    parser.add_argument("table", choices=tables)
    parser.add_argument("source", type=lambda text: Path(text).resolve(), nargs="?")
    parser.add_argument("--external", type=lambda text: Path(text).resolve())
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--run", type=lambda text: Path(text).resolve())
    parser.add_argument("--backbone")
    parser.add_argument("--only", nargs="+", help="Some of the rows.")
    parser.add_argument("--work", type=lambda text: Path(text).resolve(), default=Path("training-benchmark").resolve())
    arguments, arguments.options = parser.parse_known_args()
    tables[arguments.table](arguments)


if __name__ == "__main__":
    main()
