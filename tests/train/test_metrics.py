import json
import re
from pathlib import Path

import pytest

from curate.stage.errors import DataError
from curate.stage.records import record_of, record_text
from train.metrics import (
    METRICS,
    EnsembleMetrics,
    Metrics,
    RunMetrics,
    SetMeasures,
    Unlabelled,
    read_metrics,
    write_metrics,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
KINDS = {"run": RunMetrics, "ensemble": EnsembleMetrics, "evaluate": Metrics}
FILES = sorted(GOLDEN.glob("metrics-*.json"))


def kind_of(path: Path) -> type[Metrics]:
    return KINDS[path.name.split("-")[1].removesuffix(".json")]


@pytest.fixture
def golden(tmp_path):
    """golden(name): the folder of a run with such a metrics.json."""

    def folder_with(name: str) -> Path:
        (tmp_path / METRICS).write_bytes((GOLDEN / f"metrics-{name}.json").read_bytes())
        return tmp_path

    return folder_with


def test_there_are_files_of_each_kind_that_was_ever_written():
    assert {kind_of(path) for path in FILES} == set(KINDS.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_the_first_version_is_written_again_to_the_byte(path, tmp_path):
    (tmp_path / METRICS).write_bytes(path.read_bytes())
    metrics = read_metrics(kind_of(path), tmp_path)
    assert write_metrics(metrics, tmp_path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_read_again_is_equal(path):
    kind = kind_of(path)
    metrics = record_of(kind, json.loads(path.read_text()), "metrics", "")
    assert record_of(kind, json.loads(record_text(metrics)), "metrics", "") == metrics


def test_a_run_is_read_down_to_its_numbers(golden):
    folder = golden("run")
    document = json.loads((folder / METRICS).read_text())
    run = read_metrics(RunMetrics, folder)
    assert run.classes == ("crimson", "jade", "violet")
    assert run.model.backbones == ("cnn",)
    assert run.fit.kept.epoch == document["fit"]["kept"]["epoch"]
    assert run.sets["fog-3"].verdict == "near"
    assert run.clean.worst_class.class_name == document["clean"]["worst_class"]["class"]
    assert run.benchmark.corruptions["fog"].severities == document["benchmark"]["corruptions"]["fog"]["severities"]
    assert run.benchmark.baseline is None
    assert run.slices[0].class_name == document["slices"][0]["class"]
    assert run.external["elsewhere.npz"].auc is None
    assert run.external["elsewhere.npz"].per_class["violet"].recall is None


def test_a_set_without_labels_is_told_from_one_that_was_measured(golden):
    unlabelled = read_metrics(Metrics, golden("evaluate-unlabelled"))
    assert unlabelled.external == {"unlabelled.npz": Unlabelled(0)}
    assert unlabelled.external_measures == {}
    elsewhere = read_metrics(Metrics, golden("evaluate-elsewhere"))
    assert isinstance(elsewhere.external_measures["elsewhere.npz"], SetMeasures)


@pytest.mark.parametrize("place", [(), ("clean",), ("benchmark", "corruptions", "fog"), ("slices", 0, "clean")])
def test_a_key_that_is_not_known_is_refused_with_its_place(golden, place):
    folder = golden("run")
    document = json.loads((folder / METRICS).read_text())
    part = document
    for key in place:
        part = part[key]
    part["colour"] = 0.5
    (folder / METRICS).write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"colour.*Run it again\.") as caught:
        read_metrics(RunMetrics, folder)
    for key in place:
        assert re.search(rf"\b{key}\b", str(caught.value))
    assert str(folder / METRICS) in str(caught.value)


@pytest.mark.parametrize(
    ("place", "key"),
    [((), "sets"), ((), "selection"), ((), "fit"), (("benchmark",), "sources"), (("clean", "worst_class"), "class")],
)
def test_a_key_that_is_missing_is_named(golden, place, key):
    folder = golden("run")
    document = json.loads((folder / METRICS).read_text())
    part = document
    for name in place:
        part = part[name]
    del part[key]
    (folder / METRICS).write_text(json.dumps(document))
    with pytest.raises(DataError, match=rf"\b{key}.*Run it again\."):
        read_metrics(RunMetrics, folder)


def test_text_where_a_number_belongs_is_refused(golden):
    folder = golden("run")
    document = json.loads((folder / METRICS).read_text())
    document["clean"]["accuracy"] = "high"
    (folder / METRICS).write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"metrics\.json: clean\.accuracy is not a number\."):
        read_metrics(RunMetrics, folder)


def test_an_ensemble_is_no_run(golden):
    with pytest.raises(DataError, match="Run it again"):
        read_metrics(RunMetrics, golden("ensemble-mean"))
    members = read_metrics(EnsembleMetrics, golden("ensemble-one-vs-rest")).model.members
    assert all(len(shares) == 3 for shares in members.values())
