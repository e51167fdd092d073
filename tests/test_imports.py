import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import augment
import curate
import train

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tensorflow", "keras", "jax", "torch", "umap", "numba", "openvino", "ray", "sklearn", "scipy", "pandas",
    "pyarrow", "cv2", "albumentations", "cleanlab", "imagehash", "augment", "train",
)  # fmt: skip
# Who may import whom: the command line everything, the stages the core, the core nobody.
MAY_IMPORT = {"curate": (), "augment": ("curate",), "train": ("curate",), "cli": ("curate", "augment", "train")}
OURS = tuple(MAY_IMPORT)
PACKAGES = [curate, augment, train]
# Made of Keras' classes, and so imported only by functions that need them.
OF_KERAS = {"train.batches", "train.layers", "train.losses", "train.ranger"}


def fresh(script: str) -> str:
    """What a new interpreter prints that runs a script in the project's root."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name", ["curate", "augment", "augment.configs", "train", "train.configs", "train.recipe", "cli"]
)
def test_importing_loads_nothing_heavy(name):
    left_out = {*HEAVY, "numpy"} - {
        other for other in OURS if other in (*MAY_IMPORT[name.partition(".")[0]], name.partition(".")[0])
    }
    script = f"import sys, {name}; print(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


@pytest.mark.parametrize("name", OURS[:3])
def test_a_program_loads_neither_numbers_nor_the_others(name):
    left_out = {*HEAVY, "numpy", *OURS} - {name, "curate"}
    script = f"import sys, {name}.commands; print(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("curate", ["scan", "data.npz"]), ("curate", ["selftest", "data.npz"]), ("curate", ["split"]),
        ("curate", ["apply"]), ("curate", ["review"]), ("augment", ["plan"]), ("augment", ["build"]),
        ("augment", ["overlap"]),
        ("train", ["baseline"]), ("train", ["evaluate"]), ("train", ["predict", "baseline", "data.npz"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)  # fmt: skip
def test_a_command_says_that_it_starts_before_it_loads_what_takes_long(name, words):
    script = f"""
import sys
from curate.terminal import Terminal

def stage(self, name, total, unit):
    print(name, *sorted({ {*HEAVY, "numpy"} - {*OURS} } & sys.modules.keys()))
    raise SystemExit

Terminal.stage = stage
import {name}.commands
{name}.commands.app({words})
"""
    assert fresh(script) == "starting"


def test_reading_a_set_loads_no_models_no_charts_and_no_learning():
    left_out = set(HEAVY) - {"cv2", "scipy"}
    script = f"import sys, curate; curate.read, curate.ImageSet; print(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


def test_everything_but_a_scan_of_real_weights_does_without_tensorflow():
    modules = [name_of(path) for path in sources("curate") if "reporting" not in path.parts]
    script = (
        f"import sys\nfor name in {modules}: __import__(name)\n"
        "print(*sorted({'tensorflow', 'keras', 'openvino', 'umap', 'numba', 'ray'} & set(sys.modules)))"
    )
    assert fresh(script) == ""


def test_every_module_of_augment_does_without_models_tables_and_learning_until_they_are_used():
    modules = [name_of(path) for path in sources("augment")]
    left_out = set(HEAVY) - {"augment", "cv2", "imagehash"}
    script = f"import sys\nfor name in {modules}: __import__(name)\nprint(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


def test_every_module_of_train_does_without_models_tables_and_learning_until_they_are_used():
    modules = [name for name in map(name_of, sources("train")) if name not in OF_KERAS and "reporting" not in name]
    left_out = set(HEAVY) - {"train"}
    script = f"import sys\nfor name in {modules}: __import__(name)\nprint(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


def test_the_page_of_a_run_does_without_models():
    left_out = {"tensorflow", "keras", "openvino", "sklearn", "scipy"}
    assert fresh(f"import sys, train.reporting; print(*sorted({left_out} & set(sys.modules)))") == ""


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_there_and_they_are_in_order(package):
    assert sorted(package.__all__, key=lambda name: (not name.isupper(), name)) == package.__all__
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        value = getattr(package, name)
        assert name.isupper() or value.__module__.startswith(f"{package.__name__}.")
    assert dir(package) == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_no_public_name_hides_a_module(package):
    assert not {f"{package.__name__}.{name}" for name in package.__all__} & set(map(name_of, sources(package.__name__)))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_is_explained(package):
    assert all(getattr(package, name).__doc__ for name in package.__all__)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_name_that_is_none_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'sacn'"):
        package.sacn  # noqa: B018


def test_a_star_import_gives_the_public_names():
    assert fresh("from curate import *; print(scan.__name__, ScanConfig.__name__)") == "scan ScanConfig"
    assert fresh("from augment import *; print(build.__name__, BuildConfig.__name__)") == "build BuildConfig"
    assert fresh("from train import *; print(train.__name__, RunConfig.__name__)") == "train RunConfig"


def sources(package: str) -> list[Path]:
    folder = ROOT / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def name_of(path: Path) -> str:
    """The module that a file is."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def tree(path: Path) -> ast.Module:
    """The syntax of a file, read once for all that is asked of it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return frozenset(found)


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_only_those_below_it(package):
    files = sources(package)
    assert files
    for path in files:
        assert imported(path) & set(OURS) <= {package, *MAY_IMPORT[package]}, path


# The files that know each library, wherever in them they import it. Of Keras all of train may know.
HOMES = {
    "openvino": {"curate/measuring/inference.py"},
    "umap": {"curate/measuring/mapping.py"},
    "keras": {"curate/measuring/backbones.py", "curate/measuring/lite.py"},
    "tensorflow": {
        "curate/measuring/backbones.py",
        "curate/sets/exporting.py",
        "train/autodiff.py",
        "train/devices.py",
        "train/exporting.py",
    },
    "torch": {"train/autodiff.py", "train/devices.py"},
    "jax": {"train/autodiff.py"},
    "keras_tuner": {"train/tuning.py"},
}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_by_its_files_only(library):
    files = [path for package in OURS for path in sources(package)]
    found = {path.relative_to(ROOT).as_posix() for path in files if library in imported(path)}
    if library == "keras":
        found = {name for name in found if not name.startswith("train/")}
    assert found == HOMES[library]


@pytest.mark.parametrize("path", [path for package in OURS for path in sources(package)], ids=name_of)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path))


# Which way imports point within a package, those for types and those inside functions included.


def modules(package: str) -> dict[str, Path]:
    return {name_of(path): path for path in sources(package)}


def imported_modules(name: str, path: Path, among: Iterable[str]) -> set[str]:
    """The modules of its own package that a module imports, wherever in it."""
    folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
    targets = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = folder.split(".")[: len(folder.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            inner = {f"{base}.{alias.name}" for alias in node.names} & set(among)
            targets |= inner or {base}  # of a package a module, or a name
    return targets & set(among)


def arrows(package: str) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports."""
    paths = modules(package)
    return {name: imported_modules(name, path, paths) - {name} for name, path in paths.items()}


def wing_of(name: str) -> str:
    """The folder or the file right in the package that a module belongs to."""
    return ".".join(name.split(".")[:2])


def circle_in(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Nodes that lie on a circle or lead from one to another; none where every arrow points one way."""
    left = {name: set(targets) for name, targets in graph.items()}
    while ends := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in ends}
    return sorted(left)


@pytest.mark.parametrize("package", OURS[:3])
def test_no_circle_of_imports_is_within_a_package(package):
    assert circle_in(arrows(package)) == []


@pytest.mark.parametrize("package", OURS[:3])
def test_between_wings_every_import_points_one_way(package):
    wings: dict[str, set[str]] = {}
    for name, targets in arrows(package).items():
        if name != package:  # the public names, which nothing within imports
            wings.setdefault(wing_of(name), set()).update(wing_of(target) for target in targets)
    graph = {wing: targets - {wing} for wing, targets in wings.items()}
    assert len(graph) > 10
    assert package not in set().union(*graph.values())
    assert circle_in(graph) == []


# Each wing of the core stands on those before it alone.
FLOORS = (
    "stage",
    "notebooks",
    "sets",
    "measuring",
    "findings",
    "checks",
    "gathering",
    "verdicts",
    "scanning",
    "selftesting",
)


def test_the_wings_of_the_core_stand_on_each_other_in_order():
    order = [f"curate.{wing}" for wing in FLOORS]
    above = {wing: set(order[at + 1 :]) for at, wing in enumerate(order)}
    for name, targets in arrows("curate").items():
        assert {wing_of(target) for target in targets} & above.get(wing_of(name), set()) == set(), name


def test_a_circle_is_seen_wherever_it_is_hidden(tmp_path):
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}
    assert circle_in(graph) == ["a", "b", "c"]
    path = tmp_path / "scanning.py"
    path.write_text(
        "if TYPE_CHECKING:\n    from .scans import Scan\n"
        "def page():\n    from .stage import errors\n    import curate.cleaning\n"
    )
    among = {"curate", "curate.scans", "curate.cleaning", "curate.stage", "curate.stage.errors"}
    assert imported_modules("curate.scanning", path, among) == among - {"curate", "curate.stage"}
