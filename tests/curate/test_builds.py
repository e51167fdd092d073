import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from curate.builds import (
    BENCHMARK_FILE,
    PLAN_FILE,
    BenchmarkRecord,
    BuildManifest,
    ClassCounts,
    ComposedSet,
    ComposedTracks,
    CorruptedSet,
    LabelLoss,
    PlanRecord,
    read_benchmark,
    read_plan,
)
from curate.sets.provenance import ImageOrigin, Provenance, write_provenance
from curate.sets.shards import read_shards, write_shard
from curate.stage.errors import DataError
from curate.stage.manifest import read_manifest
from curate.stage.records import record_text

# A build of drawn cells, as the first release that could build wrote it.
GOLDEN = Path(__file__).parents[1] / "golden" / "v1" / "build"


@pytest.fixture
def golden(tmp_path):
    """A copy of its documents, to be tampered with."""
    for name in (PLAN_FILE, BENCHMARK_FILE):
        (tmp_path / name).write_bytes((GOLDEN / name).read_bytes())
    return tmp_path


# What version 1 wrote is read


def test_the_plan_of_version_1_is_read():
    plan = read_plan(GOLDEN)
    assert (plan.policy.name, plan.balance, plan.fit, plan.size) == ("light", "oversample", "crop", (8, 8))
    assert list(plan.policy.operations) == ["dihedral", "tone_curve", "colour_matrix", "hue", "colourfulness"]
    assert plan.policy.operations["dihedral"] == {"element": (1.0, 7.0)}
    assert plan.classes[1] == ClassCounts("round", 16, 16, 18, 2, 34, 16, 1.0)
    assert plan.class_weights == {"lobed": 1.0, "round": 1.0}
    assert plan.labels_lost is not None
    assert plan.labels_lost[0] == LabelLoss("dihedral", 33, 0.0606060606, 0.0303030303, 0.0303030303)
    assert (plan.labels, plan.notes, plan.units["side"]) == (None, (), 8.0)


def test_the_benchmark_of_version_1_is_read():
    benchmark = read_benchmark(GOLDEN)
    assert benchmark is not None
    assert (benchmark.severities, benchmark.composed) == ("calibrated", ComposedTracks((2, 3, 4), 3))
    assert len(benchmark.sets) == 57
    blur = benchmark.sets[0]
    assert isinstance(blur, CorruptedSet)
    assert (blur.name, blur.role, blur.severity, blur.family) == ("defocus_blur-1", "test", 1, "blur")
    assert (blur.sets, blur.verdict, blur.images) == (("common", "blood"), "disjoint", 3)
    assert blur.values == {"radius": 0.33435405187299283, "alias": 0.3}
    composed = [images for images in benchmark.sets if isinstance(images, ComposedSet)]
    assert [(images.name, images.composed) for images in composed] == [("composed-2", 2), ("composed-3", 3)]


def test_the_manifest_of_version_1_is_read():
    manifest = read_manifest(BuildManifest, GOLDEN)
    assert (manifest.format, manifest.stage, manifest.counts["train"]) == (1, "build", 68)
    assert manifest.config["benchmark"] == ["blood"]
    assert set(manifest.outputs) == {PLAN_FILE, BENCHMARK_FILE}
    assert list(manifest.sets["train"]) == ["part-00000.npz"]


def test_the_shards_and_rows_of_version_1_are_read():
    images = read_shards(GOLDEN / "train")
    assert (len(images), images.classes, images.images[0].pixels.shape) == (68, ("lobed", "round"), (8, 8, 3))
    rows = Provenance(GOLDEN / "train" / "rows.parquet")
    assert rows.ids == list(images.ids)
    assert (rows.labels == images.labels).all()
    assert np.bincount(rows.copies).tolist() == [33, 33, 2]
    assert (rows.attempts.sum(), rows.doubted.sum(), set(rows.groups.tolist())) == (1, 0, {-1})
    origin = rows.origin(1)
    assert (origin.id, origin.source_id, origin.copy) == (f"{rows.ids[0]}+1", rows.ids[0], 1)
    assert {call["op"] for call in json.loads(origin.ops)} <= set(read_plan(GOLDEN).policy.operations)
    assert origin == ImageOrigin(
        origin.id, rows.source_ids[1], int(rows.source_rows[1]), -1, 1, int(rows.labels[1]),
        images.classes[rows.labels[1]], origin.ops, 0, 0, False,
    )  # fmt: skip


# And written as it was


def test_the_documents_are_written_with_the_same_bytes():
    benchmark, plan = read_benchmark(GOLDEN), read_plan(GOLDEN)
    assert record_text(benchmark) == (GOLDEN / BENCHMARK_FILE).read_text()
    assert record_text(read_manifest(BuildManifest, GOLDEN)) == (GOLDEN / "manifest.json").read_text()
    # The first release wrote no format into this one.
    assert record_text(plan) == (GOLDEN / PLAN_FILE).read_text().replace("{\n", '{\n  "format": 1,\n', 1)


def test_a_shard_is_written_with_the_same_bytes(tmp_path):
    images = read_shards(GOLDEN / "train")
    pixels = np.stack([images.images[row].pixels for row in range(len(images))])
    path = write_shard(tmp_path, 0, pixels, images.labels, images.ids, images.classes)
    assert path.read_bytes() == (GOLDEN / "train" / "part-00000.npz").read_bytes()


def test_rows_are_written_with_the_same_values_and_types(tmp_path):
    # Parquet files name the version that wrote them: their bytes are those of pyarrow.
    golden, path = GOLDEN / "train" / "rows.parquet", tmp_path / "rows.parquet"
    rows = Provenance(golden)
    write_provenance([rows.origin(number) for number in range(len(rows.ids))], path)
    assert pq.read_table(path).equals(pq.read_table(golden), check_metadata=True)


def test_what_was_written_is_read_again(tmp_path):
    plan, benchmark = read_plan(GOLDEN), read_benchmark(GOLDEN)
    plan = replace(plan, labels="labels.csv", labels_lost=None, notes=("größer",))
    (tmp_path / PLAN_FILE).write_text(record_text(plan), "utf-8")
    (tmp_path / BENCHMARK_FILE).write_text(record_text(benchmark), "utf-8")
    assert read_plan(tmp_path) == plan
    assert read_benchmark(tmp_path) == benchmark
    assert isinstance(plan, PlanRecord)
    assert isinstance(benchmark, BenchmarkRecord)


def test_no_benchmark_is_none(tmp_path):
    assert read_benchmark(tmp_path) is None


# What is not as it should be


def changed(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": 2}, "plan.json is of format 2; needed is 1"),
        ({"colour": "red"}, r"plan\.json: it has what is not known: colour\."),
        ({"size": [8]}, r"plan\.json: size is not as it should be\."),
        ({"size": ["8", "8"]}, r"plan\.json: size\[0\] is not a whole number"),
        ({"class_weights": {"lobed": "heavy"}}, r"plan\.json: class_weights\['lobed'\] is not a number\."),
        ({"labels": 3}, r"plan\.json: labels is not as it should be\."),
    ],
)
def test_a_plan_that_is_not_as_it_should_be_is_refused_in_a_line(golden, values, words):
    changed(golden / PLAN_FILE, **values)
    with pytest.raises(DataError, match=words) as error:
        read_plan(golden)
    assert str(error.value).endswith("Run `augment build` again.")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (3, "sets is not a list"),
        ([3], r"sets\[0\] is not as it should be"),
        ([{"name": "fog-1"}], r"sets\[0\]\.role is missing \(and \d more\)"),
        (
            [{"name": "fog-1", "role": "test", "corruption": "fog", "severity": "mild"}],
            r"sets\[0\]\.severity is not a whole number \(and \d more\)",
        ),
    ],
    ids=str,
)
def test_a_benchmark_whose_sets_are_not_as_they_should_be_is_refused_in_a_line(golden, sets, words):
    changed(golden / BENCHMARK_FILE, sets=sets)
    with pytest.raises(DataError, match=rf"benchmark\.json: {words}\. Run `augment build` again") as error:
        read_benchmark(golden)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not valid JSON"), ("[]", "holds no JSON object"), ("", "is not valid JSON")]
)
def test_a_document_that_is_none_is_refused(golden, text, words):
    (golden / BENCHMARK_FILE).write_text(text)
    with pytest.raises(DataError, match=rf"benchmark.json {words}.*Run `augment build` again"):
        read_benchmark(golden)
