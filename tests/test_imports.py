import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import augment
import curate

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tensorflow", "keras", "jax", "torch", "umap", "numba", "openvino", "ray", "plotly", "sklearn", "scipy", "pandas",
    "pyarrow", "cv2", "albumentations", "cleanlab", "imagehash", "augment", "train",
)  # fmt: skip
# Who may import whom: the command line everything, the stages the core, the core nobody.
MAY_IMPORT = {"curate": (), "augment": ("curate",), "train": ("curate",), "cli": ("curate", "augment", "train")}
OURS = tuple(MAY_IMPORT)


def fresh(script: str) -> str:
    """What a new interpreter prints that runs a script in the project's root."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["curate", "augment", "augment.configs", "cli"])
def test_importing_loads_nothing_heavy(name):
    left_out = {*HEAVY, "numpy"} - {
        other for other in OURS if other in (*MAY_IMPORT[name.partition(".")[0]], name.partition(".")[0])
    }
    script = f"import sys, {name}; print(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


def test_reading_a_set_loads_no_models_no_charts_and_no_learning():
    left_out = set(HEAVY) - {"cv2", "scipy"}
    script = f"import sys, curate; curate.read, curate.ImageSet; print(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


def test_everything_but_a_scan_of_real_weights_does_without_tensorflow():
    modules = sorted(path.stem for path in (ROOT / "curate").glob("*.py") if path.stem != "__init__")
    script = (
        f"import sys\nfor name in {modules}: __import__('curate.' + name)\n"
        "print(*sorted({'tensorflow', 'keras', 'openvino', 'umap', 'numba', 'ray', 'plotly'} & set(sys.modules)))"
    )
    assert fresh(script) == ""


def test_every_module_of_augment_does_without_models_tables_and_learning_until_they_are_used():
    modules = [name_of(path) for path in sources("augment")]
    left_out = set(HEAVY) - {"augment", "cv2", "imagehash"}
    script = f"import sys\nfor name in {modules}: __import__(name)\nprint(*sorted({left_out} & set(sys.modules)))"
    assert fresh(script) == ""


@pytest.mark.parametrize("package", [curate, augment], ids=lambda package: package.__name__)
def test_every_public_name_is_there_and_they_are_in_order(package):
    assert sorted(package.__all__) == package.__all__
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith(f"{package.__name__}.")
    assert dir(package) == package.__all__


@pytest.mark.parametrize("package", [curate, augment], ids=lambda package: package.__name__)
def test_every_public_name_is_explained(package):
    assert all(getattr(package, name).__doc__ for name in package.__all__)


@pytest.mark.parametrize("package", [curate, augment], ids=lambda package: package.__name__)
def test_a_name_that_is_none_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'sacn'"):
        package.sacn  # noqa: B018


def test_a_star_import_gives_the_public_names():
    assert fresh("from curate import *; print(scan.__name__, ScanConfig.__name__)") == "scan ScanConfig"
    assert fresh("from augment import *; print(build.__name__, BuildConfig.__name__)") == "build BuildConfig"


def sources(package: str) -> list[Path]:
    folder = ROOT / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def name_of(path: Path) -> str:
    """The module that a file is."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", OURS)
def test_a_package_imports_only_those_below_it(package):
    files = sources(package)
    assert files
    for path in files:
        assert imported(path) & set(OURS) <= {package, *MAY_IMPORT[package]}, path


# The one file that knows each heavy library.
HOMES = {"openvino": {"embedding.py"}, "umap": {"mapping.py"}, "keras": {"backbones.py"}}


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_named_by_one_file_only(library):
    assert {path.name for path in sources("curate") if library in imported(path)} == HOMES[library]


def test_nobody_imports_tensorflow_itself_but_the_export_of_its_own_files():
    found = [path for package in OURS for path in sources(package) if "tensorflow" in imported(path)]
    assert found == [ROOT / "curate" / "exporting.py"]


@pytest.mark.parametrize("name", [name_of(path) for package in ("curate", "augment") for path in sources(package)])
def test_every_module_says_what_it_is_for(name):
    assert import_module(name).__doc__
