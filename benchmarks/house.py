"""How the code is built: the table of CONTRIBUTING.md, counted in the syntax trees of any checkout.

    python benchmarks/house.py [CHECKOUT ...] [--time] [--tests]

Several checkouts stand side by side, such as the one before a change and the one after. `--time` adds how long the
commands take to answer --help (medians of five, in turns), `--tests` how long `make test` takes.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("curate", "augment", "train")
# Names that say nothing of a value: pronouns, and participles that stand alone.
PRONOUNS = frozenset(
    (
        "told", "one", "found", "of", "made", "said", "given", "known", "done", "those", "others", "which", "some",
        "what", "taken", "there", "this", "that", "it", "them", "each", "both", "any", "these", "ones", "here",
    )
)  # fmt: skip
PARAMETERS, FIRST = 6, 5

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, its path from the root, its syntax tree and its number of lines."""

    name: str
    path: Path
    tree: ast.Module
    lines: int


def modules(root: Path) -> list[Module]:
    """Every source module of the three packages, and the command line."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))] + [root / "cli.py"]
    loaded = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        local = path.relative_to(root)
        name = ".".join(local.with_suffix("").parts).removesuffix(".__init__")
        loaded.append(Module(name, local, ast.parse(text), text.count("\n")))
    return loaded


def functions(module: Module) -> Iterator[Function]:
    """Every function and method, inner ones too."""
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines from its def to its end, docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def parameters(function: Function) -> list[str]:
    """Names of the parameters, but for self and cls."""
    of_call = function.args
    names = [a.arg for a in (*of_call.posonlyargs, *of_call.args, *of_call.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def names_of_values(module: Module) -> Iterator[str]:
    """Names of parameters and local variables, once in each function."""
    for function in functions(module):
        yield from {*_bound(function)}


def _bound(function: Function) -> Iterator[str]:
    """Names that a function binds, those of inner functions left out."""
    of_call = function.args
    arguments = (*of_call.posonlyargs, *of_call.args, *of_call.kwonlyargs, of_call.vararg, of_call.kwarg)
    yield from (argument.arg for argument in arguments if argument is not None)
    ahead: list[ast.AST] = list(function.body)
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        if not isinstance(node, Function):
            ahead.extend(ast.iter_child_nodes(node))


def anys(module: Module) -> int:
    """How often the word Any is written in code: in annotations, and where it is imported for them."""
    return sum(
        (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.alias) and node.name == "Any")
        for node in ast.walk(module.tree)
    )


# Imports


def imports(module: Module, catalogue: Mapping[str, Module]) -> set[str]:
    """The modules of the same checkout that a module imports, wherever in it, for types too."""
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    targets: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            inner = {f"{base}.{alias.name}" for alias in node.names}
            targets |= inner & catalogue.keys() or {base} & catalogue.keys()
            targets |= {base} & catalogue.keys() if not inner <= catalogue.keys() else set()
        elif isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names} & catalogue.keys()
    return targets - {module.name}


def graph(loaded: list[Module], package: str) -> dict[str, set[str]]:
    """module -> modules of the package that it imports. What a package's __init__ re-exports is no floor."""
    inside = {m.name: m for m in loaded if m.name.split(".")[0] == package and m.path.name != "__init__.py"}
    return {name: imports(module, inside) for name, module in inside.items()}


def rooms(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between the rooms of a package, which are what lies at its top: files, and folders as a whole."""
    joined: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        room = _room(name)
        joined.setdefault(room, set()).update({_room(target) for target in targets} - {room})
    return joined


def _room(name: str) -> str:
    return ".".join(name.split(".")[:2])


def circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Sets of modules that import each other, directly or by way of others (Tarjan's components, by reachability)."""
    reach = {name: _reachable(name, arrows) for name in arrows}
    groups: list[set[str]] = []
    for name in arrows:
        group = {name, *(target for target in reach[name] if name in reach[target])}
        if len(group) > 1 and group not in groups:
            groups.append(group)
    return groups


def _reachable(start: str, arrows: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        for target in arrows[ahead.pop()] - seen:
            seen.add(target)
            ahead.append(target)
    return seen


def floors(arrows: Mapping[str, set[str]]) -> int:
    """How many modules stand on each other at most; those of a circle count as one."""
    groups = circles(arrows)
    home = {name: min(next((g for g in groups if name in g), {name})) for name in arrows}
    joined: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        joined.setdefault(home[name], set()).update(home[target] for target in targets)
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max((height(target) for target in joined[name] - {name}), default=0)
        return heights[name]

    return max(map(height, joined), default=0)


# The table


def facts(root: Path) -> dict[str, str]:
    """What is counted of a checkout, in words."""
    loaded = modules(root)
    definitions = [function for module in loaded for function in functions(module)]
    lengths = sorted(map(length, definitions))
    lines = sum(module.lines for module in loaded)
    values = [name for module in loaded for name in names_of_values(module)]
    folders: dict[str, int] = {}
    for module in loaded:
        folder = module.path.parent.as_posix()
        folders[folder] = folders.get(folder, 0) + (module.path.name != "__init__.py")
    fullest = sorted(folders.items(), key=lambda item: -item[1])[:FIRST]
    arrows = {package: graph(loaded, package) for package in PACKAGES}
    rows = {
        "files, lines": f"{len(loaded)}, {lines:,}",
        "fullest folders": ", ".join(f"{folder} {count}" for folder, count in fullest if folder != "."),
        "rooms": ", ".join(f"{package} {len(rooms(arrows[package]))}" for package in PACKAGES),
        "floors of rooms": ", ".join(f"{package} {floors(rooms(arrows[package]))}" for package in PACKAGES),
        "floors of modules": ", ".join(f"{package} {floors(arrows[package])}" for package in PACKAGES),
        "circles of rooms": ", ".join(f"{package} {len(circles(rooms(arrows[package])))}" for package in PACKAGES),
        "circles of modules": ", ".join(f"{package} {len(circles(arrows[package]))}" for package in PACKAGES),
        "Any per 1,000 lines": f"{1000 * sum(map(anys, loaded)) / lines:.1f}",
    }
    for package in (*PACKAGES, "cli"):
        of_package = [module for module in loaded if module.name.split(".")[0] == package]
        rows[f"  {package}"] = f"{1000 * sum(map(anys, of_package)) / sum(m.lines for m in of_package):.1f}"
    rows |= {
        "pronoun names": f"{sum(name in PRONOUNS for name in values) / len(values):.1%}",
        "functions": f"{len(definitions):,}",
        "lines of a function, median / p90 / longest": (
            f"{statistics.median_low(lengths)} / {lengths[int(0.9 * len(lengths))]} / {lengths[-1]}"
        ),
        f"functions with more than {PARAMETERS} parameters": str(
            sum(len(parameters(function)) > PARAMETERS for function in definitions)
        ),
        "README, bytes": f"{(root / 'README.md').stat().st_size:,}",
    }
    return rows


def seconds(roots: list[Path], command: Callable[[Path], list[str]], runs: int) -> list[float]:
    """Median seconds of a command in each checkout, taken in turns."""
    runs_of: list[list[float]] = [[] for _ in roots]
    for _ in range(runs):
        for number, root in enumerate(roots):
            start = time.perf_counter()
            environment = os.environ | {"PYTHONPATH": str(root)}
            subprocess.run(command(root), cwd=root, env=environment, stdout=subprocess.DEVNULL, check=True)
            runs_of[number].append(time.perf_counter() - start)
    return [statistics.median(values) for values in runs_of]


def _help(name: str) -> Callable[[Path], list[str]]:
    return lambda root: [sys.executable, "-m", "cli", name, "--help"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    parser.add_argument("--time", action="store_true", help="seconds of --help as well")
    parser.add_argument("--tests", action="store_true", help="seconds of `make test` as well")
    options = parser.parse_args()
    roots = [root.resolve() for root in options.checkouts]
    table = [facts(root) for root in roots]
    rows = {name: [column[name] for column in table] for name in table[0]}
    if options.time:
        for name in PACKAGES:
            rows[f"seconds of {name} --help"] = [f"{value:.2f}" for value in seconds(roots, _help(name), 5)]
    if options.tests:
        rows["seconds of make test"] = [f"{value:.0f}" for value in seconds(roots, lambda root: ["make", "test"], 1)]
    for name, cells in rows.items():
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
