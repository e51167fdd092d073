"""What the other tools say is put into the words of a report: here by stand-ins with their interfaces."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from benchmarks.peer_runs import main

NAMES = ["x/0.png", "x/1.png", "y/2.png", "y/3.png", "y/4.png"]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in NAMES:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    return tmp_path / "set"


def answer(tool: str, folder: Path) -> dict:
    """What is written for a tool; for each check sorted ids."""
    report = folder.parent / "report.json"
    main(tool, str(folder), str(folder.parent / "scan"), str(report))
    return json.loads(report.read_text())


def stand_in(monkeypatch, name: str, **members: object) -> None:
    monkeypatch.setitem(sys.modules, name, module := ModuleType(name))
    vars(module).update(members)


def test_cleanvision_tells_what_its_report_would(monkeypatch, folder):
    paths = [str(folder.resolve() / name) for name in NAMES]

    class Imagelab:
        def __init__(self, data_path: str) -> None:
            self.issues = pd.DataFrame(
                {
                    "is_dark_issue": [True, False, False, False, False],
                    "is_blurry_issue": [False, True, False, False, False],
                    "is_odd_size_issue": [False, False, True, False, False],
                    "is_grayscale_issue": [True] * 5,
                    "is_near_duplicates_issue": [False, False, False, True, True],
                    "dark_score": [0.1] * 5,
                },
                index=paths,
            )
            self.info = {"exact_duplicates": {"sets": []}, "near_duplicates": {"sets": [paths[3:]]}}

        def find_issues(self, verbose: bool) -> None:
            pass

    stand_in(monkeypatch, "cleanvision", Imagelab=Imagelab)
    assert answer("cleanvision", folder) == {
        "flags": {"dark": ["x/0.png"], "blurred": ["x/1.png"], "other": ["y/2.png"]},
        "groups": {"exact": [], "near": [["y/3.png", "y/4.png"]]},
    }, "what more than half have is left out, as in its report"


def test_fastdup_tells_components_outliers_statistics_and_labels_that_no_neighbour_shares(monkeypatch, folder):
    paths = [str(folder.resolve() / name) for name in NAMES]
    components = pd.DataFrame({"filename": paths[:3], "component_id": [7, 7, 7]})
    statistics = pd.DataFrame({"filename": paths, "mean": [5, 100, 100, 100, 240], "blur": [90, 20, 90, 90, 90]})
    pairs = pd.DataFrame(
        {
            "filename_from": [paths[0], paths[0], paths[2], paths[2]],
            "label_from": ["x", "x", "y", "y"],
            "label_to": ["x", "y", "x", "x"],
        }
    )
    tool = SimpleNamespace(
        run=lambda annotations, cc_threshold: asked.append((annotations["label"].tolist(), cc_threshold)),
        connected_components=lambda: (components, None),
        outliers=lambda: pd.DataFrame({"filename_outlier": [paths[4], paths[4], paths[3]]}),
        img_stats=lambda: statistics,
        similarity=lambda: pairs,
    )
    asked: list[tuple[list[str], float]] = []
    monkeypatch.setenv("SENTRY_OPT_OUT", "")
    monkeypatch.setenv("FASTDUP_PRODUCTION", "")
    stand_in(monkeypatch, "fastdup", create=lambda work_dir, input_dir: tool)
    assert answer("fastdup", folder) == {
        "flags": {
            "outlier": ["y/3.png", "y/4.png"],
            "label": ["y/2.png"],
            "dark": ["x/0.png"],
            "blurred": ["x/1.png"],
            "other": ["y/4.png"],
        },
        "groups": {"near": [["x/0.png", "x/1.png", "y/2.png"]]},
    }
    assert asked == [(["x", "x", "y", "y", "y"], 0.96)]
    # Where it finds none, it answers with an empty table of no columns, or with None.
    tool.connected_components, tool.outliers = lambda: (pd.DataFrame(), None), lambda: None
    report = answer("fastdup", folder)
    assert (report["flags"]["outlier"], report["groups"]["near"]) == ([], [])


def test_datalab_works_on_the_embeddings_of_the_scan_and_out_of_fold_probabilities(monkeypatch, folder):
    rows = 20
    ids = [f"{'xy'[row % 2]}/{row}.png" for row in range(rows)]
    (folder.parent / "scan").mkdir()
    table = pd.DataFrame({"id": ids, "label_name": [name[0] for name in ids]})
    table.to_parquet(folder.parent / "scan" / "images.parquet")
    embeddings = np.stack([np.eye(2)[row % 2] for row in range(rows)]).astype(np.float16)
    np.save(folder.parent / "scan" / "embeddings.npy", embeddings)

    class Datalab:
        def __init__(self, data: dict, label_name: str, verbosity: int) -> None:
            assert data == {"label": table["label_name"].tolist()}

        def find_issues(self, features: np.ndarray, pred_probs: np.ndarray, issue_types: dict) -> None:
            assert features.dtype == np.float32
            assert np.array_equal(pred_probs.argmax(axis=1), np.arange(rows) % 2)
            assert set(issue_types) == {"label", "outlier", "near_duplicate"}

        def get_issues(self, name: str) -> pd.DataFrame:
            flags = np.zeros(rows, bool)
            flags[{"label": 3, "outlier": 4}.get(name, 5)] = True
            sets = [np.array([7] if row == 5 else [], int) for row in range(rows)]
            return pd.DataFrame({f"is_{name}_issue": flags, "near_duplicate_sets": sets})

    stand_in(monkeypatch, "cleanlab", Datalab=Datalab)
    assert answer("datalab", folder) == {
        "flags": {"label": ["y/3.png"], "outlier": ["x/4.png"]},
        "groups": {"near": [["y/5.png", "y/7.png"]]},
    }
