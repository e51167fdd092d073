"""Tests mirror the source: whoever changes a module knows which file to run."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("curate", "augment", "train")
# Test files of no one module: of all of a kind, of how things fit together, or of what no module is.
OF_MANY = {
    "tests/augment/test_advice.py",
    "tests/augment/test_contracts.py",
    "tests/benchmarks/test_peer_runs.py",
    "tests/benchmarks/test_peers.py",
    "tests/curate/reporting/test_grid_in_browser.py",
    "tests/curate/reporting/test_queue_in_browser.py",
    "tests/curate/reporting/test_map_in_browser.py",
    "tests/curate/notebooks/test_in_a_notebook.py",
    "tests/curate/reporting/test_report_in_browser.py",
    "tests/curate/reviewing/test_deciding_in_browser.py",
    "tests/curate/reviewing/test_review_in_browser.py",
    "tests/curate/reporting/test_views_in_browser.py",
    "tests/train/reporting/test_report_in_browser.py",
    "tests/endurance/test_broken_inputs.py",
    "tests/test_cli.py",
    "tests/test_docs.py",
    "tests/test_house.py",
    "tests/test_imports.py",
    "tests/test_inert.py",
    "tests/test_mirror.py",
    "tests/test_packaging.py",
    "tests/test_reference.py",
}


def modules() -> list[str]:
    """Every module that is no __init__.py, as a path from the root."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def mirror_of(module: str) -> str:
    folder, _, name = module.rpartition("/")
    return f"tests/{folder}/test_{name}"


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_test_file_of_its_name(module):
    assert (ROOT / mirror_of(module)).is_file()


def test_every_test_file_is_of_a_module_or_of_many():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    files -= {file for file in files if file.startswith("tests/endurance/")}  # of commands as a whole
    assert files - OF_MANY == set(map(mirror_of, modules()))
