"""How quick `curate review` is on a large set: to open, to show an original, to take a decision, to send thumbnails.

    python benchmarks/reviewing.py [--rows 200000] [--folder DIR] [--kind files|archive]

The scan is made by hand: drawn pictures (each file of a few is linked under thousands of names), random embeddings in
clouds, a tenth of the rows flagged. With --folder it is kept, and used again where it is there. Times are those of a
client on the same machine, over one connection that is kept, as a browser does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("basophil", "eosinophil", "erythroblast", "lymphocyte", "monocyte", "neutrophil", "platelet", "myelocyte")
PICTURES, SIDE, WIDTH = 64, 360, 1280  # distinct files; pixels a side; of the embeddings
ROUNDS, PACK = 300, 60
CHECKS = ("label_error", "near_duplicate", "outlier", "blurred")


def draw(folder: Path, rows: int, kind: str) -> Path:
    """A folder of so many JPEGs, or an archive of as many pictures of 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "archive":
        path = folder / "set.npz"
        np.savez(path, images=rng.integers(0, 256, (rows, 28, 28), np.uint8), labels=np.arange(rows) % len(CLASSES))
        return path
    originals = []
    for number in range(PICTURES):
        coarse = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        originals.append(folder / f"{number}.jpg")
        cv2.imwrite(str(originals[-1]), picture)
    for name in CLASSES:
        (folder / "set" / name).mkdir(parents=True)
    for row in range(rows):
        os.link(originals[row % PICTURES], folder / "set" / CLASSES[row % len(CLASSES)] / f"{row:07d}.jpg")
    return folder / "set"


def tables(ids: tuple[str, ...], labels: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """images.parquet and findings.parquet: a tenth of the rows has a finding, two thirds of them await review."""
    from curate.findings import Finding, findings_table

    rng, rows = np.random.default_rng(1), len(ids)
    flagged = np.flatnonzero(rng.random(rows) < 0.1)
    check = rng.integers(0, len(CHECKS), len(flagged))
    dropped = (check == 1) | (rng.random(len(flagged)) < 0.1)
    score = rng.uniform(0.5, 1, len(flagged))
    verdict = np.full(rows, "keep", object)
    verdict[flagged] = np.where(dropped, "drop", "review")
    xy = rng.normal(size=(rows, 2)) + 6 * np.stack([np.cos(labels), np.sin(labels)], axis=1)
    table = pd.DataFrame(
        {
            "row": np.arange(rows),
            "id": ids,
            "label": labels,
            "label_name": [CLASSES[label] for label in labels],
            "split": "",
            "digest": [f"{row:032x}" for row in range(rows)],
            "group": -1,
            "verdict": verdict,
            "x": xy[:, 0].astype(np.float32),
            "y": xy[:, 1].astype(np.float32),
        }
    )
    for number, name in enumerate(CHECKS):
        scores = rng.uniform(0, 0.5, rows).astype(np.float32)
        scores[flagged[check == number]] = score[check == number]
        table[f"{name}_score"] = scores
    actions = np.where(dropped, "drop", "review")
    findings = findings_table(
        Finding(int(row), ids[row], CHECKS[kind], float(value), -1, str(action), f"{value:.2f} of 1 by what it shows")
        for row, kind, value, action in zip(flagged, check, score, actions, strict=True)
    )
    return table, findings


def scan_by_hand(source: Path, artifacts: Path) -> None:
    """Artifacts as a scan of the source would leave them."""
    from curate.configs import ScanConfig
    from curate.reporting.overviews import overview_of
    from curate.scans import PAIRS, Scan, scan_draft, write_scan
    from curate.sets.reading import read
    from curate.stage.progress import Silent, Stopwatch
    from curate.stage.records import record_text
    from curate.verdicts import balance_table

    images = read(source)
    table, findings = tables(images.ids, images.labels)
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(len(CLASSES), WIDTH)).astype(np.float32)
    embeddings = np.empty((len(images), WIDTH), np.float16)
    for start in range(0, len(images), 8192):
        own = images.labels[start : start + 8192]
        vectors = centres[own] + rng.normal(size=(len(own), WIDTH)).astype(np.float32)
        embeddings[start : start + 8192] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    config = ScanConfig(artifacts=str(artifacts))
    result = Scan(
        images, config, table, findings, pd.DataFrame(columns=list(PAIRS)), embeddings, (),
        balance_table(images, table["verdict"].to_numpy()), None, (), "random vectors", "0", {},
    )  # fmt: skip
    with scan_draft(images, artifacts, Silent()) as draft:
        documents = {"overview": record_text(overview_of(result)), "report": "<!doctype html>"}
        write_scan(result, documents, artifacts, draft, Stopwatch(), Silent())


class Client:
    """One connection to a review, as its page keeps it."""

    def __init__(self, address: str) -> None:
        host, self._token = address.removeprefix("http://").rstrip("/").split("/")
        self._connection = http.client.HTTPConnection(host, timeout=60)
        self._headers = {"Origin": f"http://{host}", "Content-Type": "application/json"}

    def __call__(self, place: str, document: object = None) -> bytes:
        """The body of the answer."""
        body = None if document is None else json.dumps(document)
        method, headers = ("GET", {}) if body is None else ("POST", self._headers)
        self._connection.request(method, f"/{self._token}/{place}", body, headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise SystemExit(f"{place}: {response.status} {data[:200]!r}")
        return data


@contextmanager
def reviewing(artifacts: Path) -> Iterator[str]:
    """The address of a review that is under way in another process."""
    command = [sys.executable, "cli.py", "curate", "review", "--artifacts", str(artifacts), "--json", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        text = ""
        while not text.endswith("}\n"):
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the review did not open")
            text += line
        yield json.loads(text)["address"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def milliseconds(times: list[float]) -> str:
    """ "median / p99" of seconds."""
    return f"{1000 * np.median(times):.1f} / {1000 * np.quantile(times, 0.99):.1f}"


def timed(client: Client, places: list[str], documents: list[object] | None = None) -> list[float]:
    """Seconds of each answer."""
    times = []
    for number, place in enumerate(places):
        began = time.perf_counter()
        client(place, None if documents is None else documents[number])
        times.append(time.perf_counter() - began)
    return times


def measure(artifacts: Path) -> dict[str, str]:
    """What is measured -> in words."""
    began = time.perf_counter()
    with reviewing(artifacts) as address:
        printed = time.perf_counter() - began
        client = Client(address)
        info = json.loads(client("info"))
        for place in ("", "page.js", "page.css", *(f"columns/{name}" for name in info["columns"])):
            client(place)
        opened = time.perf_counter() - began
        queue = np.frombuffer(client("columns/queue"), "<i4")
        rng = np.random.default_rng(3)
        rows = rng.choice(queue, ROUNDS, replace=False)
        first = timed(client, [f"original/{rows[0]}"])
        originals = timed(client, [f"original/{row}" for row in rows[1:]])
        details = timed(client, [f"details?rows={row}" for row in rows])
        ids = [json.loads(client(f"details?rows={row}"))[0]["id"] for row in rows]
        decided = [{"entries": [{"id": name, "action": "drop"}]} for name in ids]
        decisions = timed(
            client, ["decisions?after=0" if not i else f"decisions?after={i}" for i in range(ROUNDS)], decided
        )
        packs = [rng.choice(info["rows"], PACK, replace=False) for _ in range(30)]
        thumbnails = timed(client, [f"thumbnails?side=96&rows={','.join(map(str, pack))}" for pack in packs])
        neighbours = timed(client, [f"neighbours/{row}" for row in rows])
        searches = timed(client, [f"search?q={name[-9:]}" for name in ids[:30]])
    return {
        "rows, findings": f"{info['rows']:,}, {info['columns']['finding_row'][1]:,}",
        "s until the address is there": f"{printed:.1f}",
        "s until page and columns are there": f"{opened:.1f}",
        "ms of the first original": f"{1000 * first[0]:.1f}",
        "ms of an original, median / p99": milliseconds(originals),
        "ms of the words on a row, median / p99": milliseconds(details),
        "ms of a decision, median / p99": milliseconds(decisions),
        f"ms of {PACK} thumbnails, median / p99": milliseconds(thumbnails),
        "ms of the first neighbours": f"{1000 * neighbours[0]:.1f}",
        "ms of neighbours, median / p99": milliseconds(neighbours[1:]),
        "ms of a search, median / p99": milliseconds(searches),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kind", choices=("files", "archive"), default="files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        artifacts = folder / "artifacts"
        if not (artifacts / "scan" / "manifest.json").exists():
            scan_by_hand(draw(folder, arguments.rows, arguments.kind), artifacts)
        (artifacts / "decisions.jsonl").unlink(missing_ok=True)
        figures = measure(artifacts)
    print(f"| `curate review`, {arguments.kind} | |\n|---|---|")
    for name, figure in figures.items():
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
