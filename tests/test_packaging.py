import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from train.exporting import TARGETS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
PINS = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(*extras: str) -> list[str]:
    """What is needed at all, and what the extras need, also those that they are made of."""
    found = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        for requirement in EXTRAS[extra]:
            others = re.fullmatch(r"trustset\[([\w,]+)\]", requirement)
            found += requirements(*others[1].split(",")) if others else [requirement]
    return found


def name_of(requirement: str) -> str:
    return normal(re.match(r"[\w.-]+", requirement)[0])


@pytest.mark.parametrize("name", ["cli", "curate", "augment", "train"])
def test_a_top_level_name_is_ours_alone(name):
    assert set(metadata.packages_distributions()[name]) == {"trustset"}


def test_every_package_in_the_tree_is_listed():
    there = set()
    for top in ("curate", "augment", "train"):
        for init in (ROOT / top).rglob("__init__.py"):
            there.add(".".join(init.parent.relative_to(ROOT).parts))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == there
    assert PROJECT["tool"]["setuptools"]["py-modules"] == ["cli"]


def test_every_file_that_a_package_needs_is_shipped_with_it():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for top in ("curate", "augment", "train"):
        shipped = {path for pattern in data.get(top, []) for path in (ROOT / top).glob(pattern)}
        there = {
            path
            for path in (ROOT / top).rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
        }
        assert there <= shipped, there - shipped
        assert all(list((ROOT / top).glob(pattern)) for pattern in data.get(top, []))


def test_tests_are_no_package_and_have_none_among_them():
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert not any(name.startswith("tests") for name in PROJECT["tool"]["setuptools"]["packages"])


def test_every_command_is_there():
    scripts = PROJECT["project"]["scripts"]
    assert set(scripts) == {"curate", "augment", "train"}
    installed = {point.name: point for point in metadata.entry_points(group="console_scripts")}
    for name, target in scripts.items():
        assert installed[name].value == target
        assert callable(installed[name].load())


def test_pins_are_names_and_versions_without_addresses_each_once():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in PINS)
    names = [normal(pin.partition("==")[0]) for pin in PINS]
    assert len(set(names)) == len(names)
    assert "trustset" not in names


def test_pins_cover_every_dependency_and_what_tests_need():
    pinned = {normal(pin.partition("==")[0]) for pin in PINS}
    assert {name_of(requirement) for requirement in requirements("dev", "docs")} <= pinned


def test_pins_keep_the_promises_of_the_dependencies():
    packaging = pytest.importorskip("packaging.requirements", reason="packaging is not installed")
    pinned = {normal(pin.partition("==")[0]): pin.partition("==")[2] for pin in PINS}
    for text in requirements("dev", "docs"):
        requirement = packaging.Requirement(text)
        assert requirement.specifier.contains(pinned[normal(requirement.name)]), text


def test_every_extra_that_is_told_to_be_installed_is_one():
    files = [
        *ROOT.glob("*.py"),
        *(path for top in ("curate", "augment", "train") for path in (ROOT / top).rglob("*.py")),
    ]
    told = {name for path in files for name in re.findall(r"trustset\[(\w+)\]", path.read_text(encoding="utf-8"))}
    told |= {target.extra for target in TARGETS.values() if target.extra}
    assert {"tune", "onnx", "tensorboard"} <= told <= set(EXTRAS)


def test_no_other_opencv_shares_its_folder():
    distributions = set(metadata.packages_distributions().get("cv2", []))
    assert distributions == {"opencv-python-headless"}


def test_the_last_free_release_of_albumentations_holds():
    assert "albumentations==2.0.8" in requirements()


def test_what_is_installed_has_the_version_of_the_project():
    assert metadata.version("trustset") == PROJECT["project"]["version"]


def test_files_that_the_project_points_to_are_there():
    assert (ROOT / PROJECT["project"]["readme"]).is_file()
    assert all((ROOT / name).is_file() for name in PROJECT["project"]["license-files"])
    assert (ROOT / "curate" / "py.typed").is_file()
