"""Tests mirror the source: whoever changes a module knows which file to run."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("curate", "augment", "train")
# Modules without a test file of their name, and what tests them instead. Shorter is better.
ELSEWHERE = {
    # Tables of names and types, of which there is nothing to say but what those do that use them.
    "curate/sets/formats.py": "tests/curate/sets/test_exporting.py",
    "curate/stage/columns.py": "tests/curate/test_scans.py",
    # Parts of one thing, which is tested as a whole.
    "curate/sets/provenance.py": "tests/curate/test_builds.py",
    "train/loading.py": "tests/train/test_models.py",
    "train/panels.py": "tests/train/test_explanation.py",
}
# Test files of no one module: of all of a kind, of how things fit together, or of what no module is.
OF_MANY = {
    "tests/augment/test_contracts.py",
    "tests/curate/reporting/test_report_in_browser.py",
    "tests/train/reporting/test_report_in_browser.py",
    "tests/test_cli.py",
    "tests/test_docs.py",
    "tests/test_imports.py",
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
    assert (ROOT / ELSEWHERE.get(module, mirror_of(module))).is_file()


def test_every_test_file_is_of_a_module_or_of_many():
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert files - OF_MANY == {mirror_of(module) for module in modules()} - {mirror_of(module) for module in ELSEWHERE}


def test_exceptions_are_of_modules_that_are_there_and_have_none():
    assert set(ELSEWHERE) <= set(modules())
    assert not [module for module in ELSEWHERE if (ROOT / mirror_of(module)).is_file()]
