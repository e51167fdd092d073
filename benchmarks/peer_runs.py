"""How each of the other tools is run on a folder of images, for benchmarks/peers.py.

    PYTHON benchmarks/peer_runs.py TOOL FOLDER SCAN REPORT.json

It runs in the interpreter that has the tool, so nothing of Trustset is imported here. FOLDER holds a folder per class,
SCAN is the folder of a finished scan of the same files (Datalab works on its embeddings). REPORT.json maps each
check to what the tool flags: ids (paths from FOLDER) or, for copies, lists of ids that it joins. `other` is all that it
flags beside the checks that the table has; a check that the tool does not have is missing.

Every tool runs with its defaults. Where it leaves a threshold to its user, it is the one of its own documentation.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

Flags = dict[str, list[str]]
Groups = dict[str, list[list[str]]]

# Of fastdup's guide to cleaning a data set: the variance of the Laplacian, and means of grey values.
FASTDUP_BLUR, FASTDUP_DARK, FASTDUP_BRIGHT = 50, 13, 220.5


def run_cleanvision(folder: Path, scan: Path) -> tuple[Flags, Groups]:
    """All default issues; like its report, without those that more than half of the images have."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues(verbose=False)
    lab.issues.index = [Path(path).relative_to(folder).as_posix() for path in lab.issues.index]
    flags = {
        name[len("is_") : -len("_issue")]: lab.issues.index[column].tolist()
        for name, column in lab.issues.items()
        if name.startswith("is_") and column.mean() < 0.5
    }
    exact, near = (
        [[Path(path).relative_to(folder).as_posix() for path in paths] for paths in lab.info[name]["sets"]]
        for name in ("exact_duplicates", "near_duplicates")
    )
    others = {name for name in flags if not name.endswith("duplicates")} - {"dark", "blurry"}
    return {
        "dark": flags.get("dark", []),
        "blurred": flags.get("blurry", []),
        "other": sorted({path for name in others for path in flags[name]}),
    }, {"exact": exact, "near": [*exact, *near]}


def run_fastdup(folder: Path, scan: Path) -> tuple[Flags, Groups]:
    """Connected components at a similarity of 0.96, outliers, statistics, and labels that no neighbour shares."""
    # It would ask the network whether there is a newer one, and report what it does.
    os.environ.update(SENTRY_OPT_OUT="1", FASTDUP_PRODUCTION="1")
    import fastdup
    import pandas as pd

    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    table = pd.DataFrame({"filename": map(str, paths), "label": [path.parent.name for path in paths]})
    with tempfile.TemporaryDirectory() as work:
        tool = fastdup.create(work_dir=work, input_dir=str(folder))
        tool.run(annotations=table, cc_threshold=0.96)
        components, _ = tool.connected_components()
        outliers, statistics, pairs = tool.outliers(), tool.img_stats(), tool.similarity()

    def ids(names: Iterable[str]) -> list[str]:
        return sorted({Path(name).relative_to(folder).as_posix() for name in names})

    agree = (pairs["label_from"] == pairs["label_to"]).groupby(pairs["filename_from"]).mean()
    bright = statistics["mean"] > FASTDUP_BRIGHT
    return {
        "outlier": ids([] if outliers is None else outliers["filename_outlier"]),
        "label": ids(agree.index[agree == 0]),
        "dark": ids(statistics.loc[statistics["mean"] < FASTDUP_DARK, "filename"]),
        "blurred": ids(statistics.loc[statistics["blur"] < FASTDUP_BLUR, "filename"]),
        "other": ids(statistics.loc[bright, "filename"]),
    }, {"near": [ids(group) for _, group in components.groupby("component_id")["filename"]] if len(components) else []}


def run_datalab(folder: Path, scan: Path) -> tuple[Flags, Groups]:
    """Label, outlier and near-duplicate issues, by the scan's embeddings and a linear probe's out-of-fold answers."""
    import numpy as np
    import pandas as pd
    from cleanlab import Datalab
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    table = pd.read_parquet(scan / "images.parquet", columns=["id", "label_name"])
    features = np.load(scan / "embeddings.npy").astype(np.float32)
    labels = table["label_name"].to_numpy(str)
    probe = LogisticRegression(C=10, max_iter=1000)  # of 0.01 to 100 the most accurate, raw or standardised
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    probabilities = cross_val_predict(probe, features, labels, cv=folds, method="predict_proba")
    lab = Datalab(data={"label": labels.tolist()}, label_name="label", verbosity=0)
    issues = ("label", "outlier", "near_duplicate")
    lab.find_issues(features=features, pred_probs=probabilities, issue_types={name: {} for name in issues})
    sets = lab.get_issues("near_duplicate")["near_duplicate_sets"]
    ids = table["id"].to_numpy()
    return {
        name: ids[lab.get_issues(name)[f"is_{name}_issue"].to_numpy(bool)].tolist() for name in ("label", "outlier")
    }, {"near": [ids[[row, *copies]].tolist() for row, copies in enumerate(sets) if len(copies)]}


RUNS = {"cleanvision": run_cleanvision, "fastdup": run_fastdup, "datalab": run_datalab}


def main(tool: str, folder: str, scan: str, report: str) -> None:
    flags, groups = RUNS[tool](Path(folder).resolve(), Path(scan))
    Path(report).write_text(json.dumps({"flags": flags, "groups": groups}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
