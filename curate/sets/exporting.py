"""export(source, config) -> Exported: a set in the form that other tools read, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, groupby, product
from operator import itemgetter
from pathlib import Path
from typing import NotRequired, TypedDict, TypeVar

import numpy as np

from ..notebooks.progress import onlooker
from ..stage.engine import cores, threaded
from ..stage.errors import DataError, OutputError
from ..stage.files import drafting, python_text, write_npz, write_text
from ..stage.lines import json_text
from ..stage.progress import Advance, Reporter
from ..stage.registry import Registry
from ..stage.shortness import short_repr
from ..stage.silence import silence
from .carrying import Names, Sample, copy_of, distinct_names, encoded, safe_name, with_progress
from .changes import check_unchanged
from .decoding import FilePictures, has_image_extension
from .formats import ExportConfig
from .imageset import ImageSet
from .outputs import EXPORT as MARK
from .outputs import TABLE
from .reading import read_as
from .writing import set_arrays

T = TypeVar("T")

# Images and bytes of a shard, and of a row group, at most: half a gigabyte is what Hugging Face cuts at.
SHARD = (10_000, 500_000_000)
ROW_GROUP = (100, 64_000_000)
# The folders of the classes in the order of the labels, one a line, where that is not the alphabet's.
ORDER = "classes.txt"
# Letters of class names that a line still holds.
_LONG = 240


@dataclass(frozen=True)
class Loading:
    """How what was written is loaded.

    imports  what follows `import`: "keras";  line  the Python that loads it, for the place where it lies
    notes    what a person should know of what was written
    steps    what a person types or does with it next, by the word that it is told under, for the place where it lies
    """

    imports: str
    line: Callable[[Path], str]
    notes: tuple[str, ...] = ()
    steps: Callable[[Path], Mapping[str, str]] = lambda path: {}

    __repr__ = short_repr


# A format: writes the images into a new folder or file, reports the number written so far, and says how to load them.
Exporter = Callable[[ImageSet, Path, Advance], Loading]
EXPORTS: Registry[Exporter] = Registry("export format")


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    path    folder, or file of an npz;  images  in it;  files, bytes  how many there are, and how large together
    imports what to import for that: "keras";  load  the line of Python that loads it from where the person is
    notes   how the set was read, and what became of its pictures
    steps   of what a scan found: what to type or to do next, by the word that it is told under
    """

    path: Path
    to: str
    images: int
    files: int
    bytes: int
    imports: str
    load: str
    notes: tuple[str, ...]
    steps: Mapping[str, str] = field(default_factory=dict)

    __repr__ = short_repr


def export(source: str | Path | ImageSet, config: ExportConfig, reporter: Reporter | None = None) -> Exported:
    """Write a set of any stage in the form that another tool reads.

    source  an .npz, a folder, a list of files or a built set (see curate.read), or a set that is read already

    Images are streamed, so that memory does not grow with the set. The output appears when it is whole; the input is
    never touched. Raises DataError where the source is no set or one of its images cannot be decoded, OutputError
    where the output is there already or cannot be written.
    """
    reporter = reporter or onlooker()
    images = source if isinstance(source, ImageSet) else read_as(source, config)
    if not len(images):
        raise DataError(f"{images.source.path} holds no images to export.")
    path = _output_path(images, config)
    check_output_path(path, images, config, is_file=config.to == "npz")
    with reporter.stage("exporting", len(images), "images") as advance, drafting(path) as draft:
        loading = EXPORTS[config.to](images, draft, advance)
        check_unchanged(images)
        if draft.is_dir():
            write_text(json_text(_export_record(images, config)) + "\n", draft / MARK)
    return exported(path, config.to, len(images), loading, images.source.notes)


def exported(path: Path, to: str, images: int, loading: Loading, notes: Sequence[str]) -> Exported:
    """What was written to `path`, counted on disk."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    line = loading.line(path)
    return Exported(
        path, to, images, len(files), size, loading.imports, line, (*notes, *loading.notes), loading.steps(path)
    )


def _output_path(images: ImageSet, config: ExportConfig) -> Path:
    """Where the export goes."""
    if config.out is None:
        source = images.source.path.resolve()
        name = source.name if source.is_dir() else source.stem
        path = Path(config.artifacts, "export", name if config.to == "npz" else f"{name}-{config.to}")
    else:
        path = Path(config.out)
    lacking = config.to == "npz" and path.suffix.lower() != ".npz"
    return path.with_name(f"{path.name}.npz") if lacking else path


def check_output_path(path: Path, images: ImageSet, config: ExportConfig, is_file: bool) -> None:
    """Raise OutputError where something is there that is not to be replaced, or where the input lies.

    Below a folder of images there is room for an export, which is never read as part of the folder.

    is_file  whether the export is a file, not a folder
    """
    out, source = path.resolve(), images.source.path.resolve()
    within = source in out.parents and not isinstance(images.images, FilePictures)
    if out == source or within or out in source.parents or (path.exists() and _is_read(out, images)):
        raise OutputError(
            f"{path} is where the images are read from, and no input is touched. Write elsewhere (--out)."
        )
    if not path.exists():
        return
    if not config.force:
        raise OutputError(f"{path} is there already. Add --force to replace it, or write elsewhere (--out).")
    is_export = (path / MARK).is_file() or not any(path.iterdir()) if path.is_dir() else path.is_file()
    if not is_export or path.is_dir() == is_file:
        raise OutputError(f"{path} is not what an export to {config.to} wrote, and is not replaced. Use another --out.")


def _is_read(out: Path, images: ImageSet) -> bool:
    """Whether an image of the set lies in that folder."""
    if not isinstance(images.images, FilePictures):
        return False
    folders = {os.path.dirname(images.images.path(row)) for row in range(len(images))}  # noqa: PTH120
    return any(out == folder or out in folder.parents for folder in map(Path.resolve, map(Path, folders)))


def _export_record(images: ImageSet, config: ExportConfig) -> dict[str, object]:
    """What the export was of: its presence marks a folder as an export, which may be replaced."""
    splits = Counter(images.splits or ())
    return {
        "format": 1,
        "to": config.to,
        "source": str(images.source.path),
        "images": len(images),
        "classes": list(images.classes),
        "splits": {split: splits[split] for split in _split_names(images) if splits},
        **({"folders": _class_folders(images)} if config.to == "folder" else {}),
    }


# Images on their way


def _cut(samples: Iterable[Sample], rows: int, size: int) -> Iterator[Iterator[Sample]]:
    """The samples in pieces of at most `rows` images and `size` bytes, lazily."""

    def numbered_samples() -> Iterator[tuple[int, Sample]]:
        number = images = weight = 0
        for sample in samples:
            if images and (images == rows or weight + len(sample.png) > size):
                number, images, weight = number + 1, 0, 0
            images, weight = images + 1, weight + len(sample.png)
            yield number, sample

    return (map(itemgetter(1), piece) for _, piece in groupby(numbered_samples(), itemgetter(0)))


def _split_names(images: ImageSet) -> dict[str, str]:
    """The splits of a set in order, train first, each with a name of letters, digits and _; "" where it has none."""
    if images.splits is None:
        return {"": ""}
    order = {"train": 0, "val": 1, "test": 2, "": 4}
    names = sorted(dict.fromkeys(images.splits), key=lambda split: order.get(split, 3))
    return dict(zip(names, distinct_names(re.sub(r"\W", "_", split) or "unassigned" for split in names), strict=True))


def _samples_by_shard(images: ImageSet, advance: Advance) -> Iterator[tuple[str, int, Iterator[Sample]]]:
    """(name of the split, number, samples) of each shard: split by split, in the order of the set."""
    names = _split_names(images)
    at = [list(names).index(split) for split in images.splits or [""] * len(images)]
    rows = np.argsort(at, kind="stable").tolist()
    samples = with_progress(threaded(lambda row: encoded(images, row), rows, cores()), advance)
    for split, of_split in groupby(samples, lambda sample: at[sample.row]):
        for number, shard in enumerate(_cut(of_split, *SHARD)):
            yield [*names.values()][split], number, shard


class _Entry(TypedDict):
    """What a set knows of one image beside its pixels."""

    id: str
    label: int
    label_name: str
    split: str
    group: int
    soft_label: NotRequired[list[float]]


def _entry(images: ImageSet, row: int) -> _Entry:
    entry: _Entry = {
        "id": images.ids[row],
        "label": int(images.labels[row]),
        "label_name": images.label_name(row),
        "split": images.splits[row] if images.splits is not None else "",
        "group": int(images.groups[row]) if images.groups is not None else -1,
    }
    if images.soft is not None:
        entry["soft_label"] = images.soft[row].tolist()
    return entry


# The formats


@EXPORTS.add
def folder(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """`<class>/<id>.png`, below `<split>/` where there are splits, and ids.csv. Plain JPEG and PNG files are copied."""
    splits = _split_names(images)
    classes = _class_folders(images)
    names = Names([TABLE, MARK, ORDER, *classes])
    sizes: set[tuple[int, int]] = set()
    hurdles: Counter[str] = Counter()

    def place(row: int, suffix: str) -> str:
        """Of the id its last part; all of it where that is taken, and the row where that is taken too."""
        split, label = splits[images.splits[row] if images.splits else ""], images.labels[row]
        above = "".join(f"{name}/" for name in (split, classes[label] if label >= 0 else "") if name)
        name = images.ids[row]
        name = os.path.splitext(name)[0] if has_image_extension(name) else name  # noqa: PTH122
        stem = safe_name(name)
        stems = (safe_name(name.rpartition("/")[2]), stem, f"{stem}-{row}")
        numbered_stems = (f"{stem}-{row}_{number}" for number in count(2))
        return names.take(above, (f"{stem}{suffix}" for stem in chain(stems, numbered_stems)))

    to.mkdir()
    for above, name in product(splits.values(), classes):
        # Also where it stays empty: readers number the folders that they find.
        (to / above / name).mkdir(parents=True, exist_ok=True)
    with (to / TABLE).open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        table.writerow(["file", "id", "label", "split", "group"] + ["soft_label"] * (images.soft is not None))
        copies = threaded(partial(copy_of, images), range(len(images)), cores())
        for copy in with_progress(copies, advance):
            name, entry = place(copy.row, copy.suffix), _entry(images, copy.row)
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            (to / name).write_bytes(copy.data)
            sizes.add(copy.size)
            hurdles[copy.hurdle] += 1
            group = entry["group"] if entry["group"] >= 0 else ""
            soft = [json.dumps(entry["soft_label"])] if images.soft is not None else []
            table.writerow([name, entry["id"], entry["label_name"], entry["split"], group, *soft])
    if classes != sorted(classes):
        write_text("".join(f"{name}\n" for name in classes), to / ORDER)
    return _keras_loading(images, classes, sizes.pop() if len(sizes) == 1 else None, hurdles)


def _class_folders(images: ImageSet) -> list[str]:
    """The folder of each class."""
    return distinct_names(map(safe_name, images.classes), [TABLE, MARK, ORDER])


def _keras_loading(
    images: ImageSet, classes: Sequence[str], size: tuple[int, int] | None, hurdles: Mapping[str, int]
) -> Loading:
    """How Keras reads a folder: the first split that has labels, in the order of the set's classes.

    size  (width, height) of all pictures, None where they differ;  hurdles  of the files that were converted
    """
    splits = _split_names(images)
    labelled = {images.splits[row] if images.splits else "" for row in np.flatnonzero(images.labels >= 0).tolist()}
    first = next((name for split, name in splits.items() if split in labelled), next(iter(splits.values())))
    shape = "" if size is None else f", image_size=({size[1]}, {size[0]})"

    def line(path: Path) -> str:
        if not labelled:
            order = ", labels=None"
        elif classes == sorted(classes):
            order = ""
        else:
            order = ", class_names=[" + ", ".join(map(python_text, classes)) + "]"
            if len(order) > _LONG:
                order = f', class_names=open({python_text(path / ORDER)}, encoding="utf-8").read().splitlines()'
        return f"keras.utils.image_dataset_from_directory({python_text(path / first)}{order}{shape})"

    notes = []
    converted = sum(number for hurdle, number in hurdles.items() if hurdle)
    if converted:
        kinds = sorted((hurdle for hurdle in hurdles if hurdle), key=lambda hurdle: (-hurdles[hurdle], hurdle))
        reasons = ", ".join(f"{hurdles[hurdle]:,} {hurdle}" for hurdle in kinds)
        notes.append(
            f"{converted:,} of {len(images):,} files were converted to PNG, upright and in 8 bits, as Keras does not "
            f"read them or shows them otherwise: {reasons}"
        )
    unlabelled = int((images.labels < 0).sum())
    if labelled and unlabelled:
        notes.append(
            f"images without a label lie beside the folders of the classes, and are not loaded: {unlabelled:,}"
        )
    rest = [name for name in splits.values() if name != first]
    if rest:
        notes.append(f"the line loads {first}; {', '.join(rest)} likewise")
    return Loading("keras", line, tuple(notes))


@EXPORTS.add
def webdataset(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """000000.tar, 000001.tar ... (train-000000.tar where there are splits) of <key>.png, .cls and .json."""
    to.mkdir()
    shards: Counter[str] = Counter()
    for split, number, samples in _samples_by_shard(images, advance):
        stem = f"{split}-" if split else ""
        shards[stem] += 1
        with (
            (to / f"{stem}{number:06d}.tar").open("xb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for sample in samples:
                entry = _entry(images, sample.row)
                parts = {"cls": str(entry["label"]).encode()} if entry["label"] >= 0 else {}
                parts |= {"json": json.dumps(entry).encode(), "png": sample.png}
                for kind, data in parts.items():
                    info = tarfile.TarInfo(f"{sample.key}.{kind}")  # of nobody, at no time: equal sets, equal bytes
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    stem, size = next(iter(shards.items()))
    label = "cls" if (images.labels >= 0).all() else "json"

    def line(path: Path) -> str:
        span = f"{{000000..{size - 1:06d}}}" if size > 1 else "000000"
        tars = python_text(path / f"{stem}{span}.tar")
        if set("{}:[]") & set(str(path)):  # of an address these would mean something
            tars = f'["file:" + {python_text(path.as_posix())} + f"/{stem}{{i:06d}}.tar" for i in range({size})]'
        return f'webdataset.WebDataset({tars}, shardshuffle=False).decode("rgb8").to_tuple("png", "{label}")'

    return Loading("webdataset", line, _first_only(shards))


@EXPORTS.add
def tfrecord(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """data-00000-of-00001.tfrecord ... (train-... where there are splits) of tf.train.Example."""
    with silence():
        import tensorflow as tf

    def feature(value: object) -> object:
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[v if isinstance(v, bytes) else str(v).encode() for v in values])
        )

    def example(sample: Sample) -> bytes:
        entry = _entry(images, sample.row)
        values: dict[str, object] = {
            "image/encoded": sample.png,
            "image/format": "png",
            "image/width": sample.size[0],
            "image/height": sample.size[1],
            "image/class/label": entry["label"],
            "image/class/text": entry["label_name"],
            "id": entry["id"],
            "split": entry["split"],
            "group": entry["group"],
        }
        if "soft_label" in entry:
            values["image/class/soft_label"] = entry["soft_label"]
        features = tf.train.Features(feature={name: feature(value) for name, value in values.items()})
        return bytes(tf.train.Example(features=features).SerializeToString(deterministic=True))

    def write(path: Path, samples: Iterator[Sample]) -> None:
        try:
            with tf.io.TFRecordWriter(str(path)) as out:
                for sample in samples:
                    out.write(example(sample))
        except tf.errors.OpError as error:
            raise OSError(error.message.rpartition("; ")[2]) from error  # what comes first is the path of the draft

    shards = _write_shards(images, to, "data", ".tfrecord", write, advance)
    stem, size = next(iter(shards.items()))

    def line(path: Path) -> str:
        if size == 1:
            return f"tf.data.TFRecordDataset([{python_text(path / f'{stem}-00000-of-00001.tfrecord')}])"
        names = f'f"/{stem}-{{i:05d}}-of-{size:05d}.tfrecord" for i in range({size})'
        return f"tf.data.TFRecordDataset([{python_text(path)} + {names}])"

    return Loading("tensorflow as tf", line, _first_only(shards))


@EXPORTS.add
def parquet(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """data-00000-of-00001.parquet ... (train-... where there are splits): id, image, label, split, group."""
    _write_shards(images, to, "data", ".parquet", _table_writer(images), advance)
    return Loading("pandas", lambda path: f"pandas.read_parquet({python_text(path)})")


@EXPORTS.add
def huggingface(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """data/train-00000-of-00001.parquet ..., with the features of Hugging Face's datasets, and the card README.md."""
    to.mkdir()
    label = {"names": list(images.classes), "_type": "ClassLabel"} if images.classes else _value_feature("int64")
    features: dict[str, object] = {
        "id": _value_feature("string"),
        "image": {"_type": "Image"},
        "label": label,
        "label_name": _value_feature("string"),
        "split": _value_feature("string"),
        "group": _value_feature("int64"),
    }
    if images.soft is not None:
        features["soft_label"] = {"feature": _value_feature("float32"), "_type": "Sequence"}
    writer = _table_writer(images, {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)})
    shards = _write_shards(images, to / "data", "train", ".parquet", writer, advance)
    write_text(_card(images, list(shards)), to / "README.md")
    return Loading("datasets", lambda path: f"datasets.load_dataset({python_text(path)})")


@EXPORTS.add
def npz(images: ImageSet, to: Path, advance: Advance) -> Loading:
    """One stored .npz of images, labels (soft where they are), ids, class_names, and splits and groups where known."""
    write_npz(set_arrays(images, np.arange(len(images)), advance), to)
    return Loading("numpy", lambda path: f"numpy.load({python_text(path)})")


def _first_only(shards: Mapping[str, int]) -> tuple[str, ...]:
    """A note where a line loads the first of several splits."""
    first, *rest = (stem.rstrip("-") for stem in shards)
    return (f"the line loads {first}; {', '.join(rest)} likewise",) if rest else ()


def _write_shards(
    images: ImageSet,
    to: Path,
    unsplit: str,
    suffix: str,
    write: Callable[[Path, Iterator[Sample]], None],
    advance: Advance,
) -> Counter[str]:
    """Files <split>-00000-of-00001<suffix>, `unsplit` for a set without splits; returns how many of each split."""
    to.mkdir()
    shards: Counter[str] = Counter()
    for split, number, samples in _samples_by_shard(images, advance):
        stem = split or unsplit
        write(to / f"{stem}-{number:05d}", samples)
        shards[stem] += 1
    for stem, size in shards.items():
        for number in range(size):
            (to / f"{stem}-{number:05d}").replace(to / f"{stem}-{number:05d}-of-{size:05d}{suffix}")
    return shards


def _table_writer(images: ImageSet, metadata: dict[str, str] | None = None) -> Callable[[Path, Iterator[Sample]], None]:
    """A function that writes samples as Parquet, few to a row group, as readers load whole row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        "id": pa.string(),
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "label": pa.int64(),
        "label_name": pa.string(),
        "split": pa.string(),
        "group": pa.int64(),
    }
    if images.soft is not None:
        columns["soft_label"] = pa.list_(pa.float32())
    schema = pa.schema(columns, metadata)

    def write(path: Path, samples: Iterator[Sample]) -> None:
        # PNG is compressed already, and no two are equal.
        options = {"compression": "none", "use_dictionary": ["label_name", "split"]}
        with path.open("xb") as file, pq.ParquetWriter(file, schema, **options) as out:
            for batch in _cut(samples, *ROW_GROUP):
                rows = [{**_entry(images, s.row), "image": {"bytes": s.png, "path": f"{s.key}.png"}} for s in batch]
                out.write_table(pa.Table.from_pylist(rows, schema))

    return write


def _value_feature(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


def _yaml_text(text: str) -> str:
    """Text in quotes, with nothing in it that YAML does not allow.

    >>> _yaml_text('a "b"\\x7f')
    '"a \\\\"b\\\\"\\\\U0000007f"'
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)


def _card(images: ImageSet, splits: Sequence[str]) -> str:
    """The dataset card of Hugging Face: where the files of each split are, and what is in their columns."""
    names = [f"          '{code}': {_yaml_text(name)}" for code, name in enumerate(images.classes)]
    lines = [
        "---",
        "task_categories:",
        "- image-classification",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(line for split in splits for line in (f"  - split: {split}", f"    path: data/{split}-*")),
        "dataset_info:",
        "  features:",
        "  - name: id",
        "    dtype: string",
        "  - name: image",
        "    dtype: image",
        "  - name: label",
        *(["    dtype:", "      class_label:", "        names:", *names] if names else ["    dtype: int64"]),
        *("  - name: label_name", "    dtype: string", "  - name: split", "    dtype: string"),
        *("  - name: group", "    dtype: int64"),
        *(["  - name: soft_label", "    sequence: float32"] if images.soft is not None else []),
        "---",
        "",
        f"# {images.source.path.resolve().stem}",
        "",
        f"{len(images):,} images, {len(images.classes):,} classes. Exported by Trustset (`curate export`).",
        "",
        *(["A label of -1 is none."] if (images.labels < 0).any() else []),
        *(["`group` is shared by images that belong together; -1 is none."] if images.groups is not None else []),
    ]
    return "\n".join(lines).rstrip() + "\n"
