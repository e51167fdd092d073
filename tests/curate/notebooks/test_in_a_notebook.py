"""A notebook that is run as people run it: what its cells show while they work, and at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.demo import DemoConfig, clean_cells

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
CELLS = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); import curate; curate.read('cells.npz')",
    "found = curate.scan('cells.npz', curate.ScanConfig(backbone='builtin', map='none'))",
    "found",
    "found.show('exact_duplicate')",
    "found.decide(drop=['3'])\nfound.apply()",
    "from curate.stage.progress import Silent\n"
    "quiet = curate.scan('cells.npz', found.config, Silent())\nprint(quiet.decided)",
    "curate.scan('nothing.npz')",
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each cell shows: a list of its outputs."""
    client, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    folder = tmp_path_factory.mktemp("notebook")
    images, labels = clean_cells(DemoConfig(images=80, classes=2))
    np.savez(folder / "cells.npz", images=np.concatenate([images, images[:2]]), labels=np.append(labels, labels[:2]))
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(folder)}}
    client.NotebookClient(notebook, timeout=120, allow_errors=True, resources=resources).execute()
    return [cell.outputs for cell in notebook.cells]


def test_a_set_shows_its_pictures(outputs):
    (shown,) = outputs[0]
    assert shown.data["text/plain"].startswith("<ImageSet cells.npz: 82 images")
    assert shown.data["text/html"].count("data:image/jpeg") == 10


def test_a_scan_ends_with_how_long_it_took_and_where_it_wrote(outputs):
    (shown,) = outputs[1]  # one output, drawn anew as the scan went on
    assert "report  artifacts/scan/report.html    clean set  artifacts/clean.npz" in shown.data["text/plain"]
    assert "measuring and embedding " in shown.data["text/html"]
    assert "progressbar" not in shown.data["text/html"]
    assert len(shown.data["text/html"]) < 20_000


def test_a_scan_and_its_findings_show_themselves(outputs):
    scan, duplicates = outputs[2][0].data, outputs[3][0].data
    assert scan["text/plain"].endswith("in artifacts/scan>")
    assert "<code>exact_duplicate</code>" in scan["text/html"]
    assert duplicates["text/plain"].startswith("Exact duplicates: 2 findings")
    assert duplicates["text/html"].count("<li>") == 2


def test_what_is_decided_counts(outputs):
    assert "decided=1" in outputs[4][-1].data["text/plain"]
    (printed,) = outputs[5]
    assert printed.text == "{3: 'drop'}\n"


def test_an_error_is_told_in_its_own_words(outputs):
    assert outputs[6][-1].ename == "DataError"
    assert "stopped reading nothing.npz" in outputs[6][0].data["text/html"]
