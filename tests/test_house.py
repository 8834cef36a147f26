"""The rules of the house: which room may look into which, and what no module may do."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import erfmath as em

PACKAGE = Path(em.__file__).parent

# From the foundation up. A module imports only from its own room and from rooms above it in this
# list; a new module of the package is given its room here. Results name the receptive field and the
# assumptions that they rest on, so these modules of theory/ stand above them.
ROOMS = [
    {"errors", "checks"},
    {"files", "progress"},
    {"lattice"},
    {"distribution", "kernels"},
    {"walks"},
    {"geometry", "weights", "specs", "windowed", "layers", "spec_json"},
    {"graph", "network"},
    {"zoo"},
    {"theory.windows", "theory.support", "theory.assumptions"},
    {"fits", "sizes", "shapes", "result", "result_files"},
    {"theory"},
    {"empirics"},
    {"training"},
    {"gradients"},
    {"comparison", "comparison_plot"},
    {"plotting", "design_plot"},
    {"figures"},
    {"bench"},
    {"cli", "__main__"},
]
LEVEL = {module: level for level, room in enumerate(ROOMS) for module in room}
# What theory and empirics share: the specs, and the result that both fill in.
SHARED = {module for room in ROOMS[:10] for module in room} - {"lattice", "distribution", "kernels", "walks"}
OUTSIDE = {"numpy", "scipy", "matplotlib", "mpl_toolkits"}
# Looks upwards, inside functions: Network.summary() prints a table of receptive fields, and
# EffectiveReceptiveField.from_gradients and .load make measured ones.
UPWARDS = {("graph", "theory.support"), ("result", "gradients"), ("result_files", "empirics")}
LONGEST = 500

# A public name stands for the module that defines it.
HOME: dict[str, str] = vars(em)["_HOME"]

MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
every_module = pytest.mark.parametrize("path", MODULES, ids=NAMES)


def package_of(path: Path) -> list[str]:
    """The package a module's relative imports start from, without the leading `erfmath`."""
    return list(path.relative_to(PACKAGE).parent.parts)


def module_of(path: Path) -> str:
    """Dotted name of a module below `erfmath`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(module: str) -> str | None:
    """The longest beginning of a dotted name that has a room."""
    parts = module.split(".")
    beginnings = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in beginnings if name in LEVEL), None)


def without_type_checking(tree: ast.Module) -> ast.Module:
    """The module as it runs: blocks under `if TYPE_CHECKING:` are for type checkers alone."""
    class Strip(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | None:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return None
            return self.generic_visit(node)
    return Strip().visit(tree)


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """Absolute dotted names that a module of `package` imports, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = ["erfmath", *package][:len(package) + 2 - node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield ".".join([*base, alias.name]), node.lineno


def inner(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """The modules of erfmath that a module imports from, with the lines."""
    for name, line in imports(tree, package):
        parts = name.split(".")
        if parts[0] == "erfmath" and len(parts) > 1 and parts[1] != "__version__":
            yield HOME.get(parts[1], ".".join(parts[1:])), line


def faults(tree: ast.Module, package: list[str], module: str) -> list[str]:
    """What the one-way rule finds wrong with a module."""
    room = room_of(module)
    if room is None:
        return [f"{module} has no room; give it one in ROOMS"]
    found = []
    for name, line in inner(without_type_checking(tree), package):
        target = room_of(name)
        if target is None:
            found.append(f"line {line}: {name} has no room; give it one in ROOMS")
        elif LEVEL[target] > LEVEL[room] and (room, target) not in UPWARDS:
            found.append(f"line {line}: {module} imports {name}, which lies below it")
        elif room == "empirics" and target not in SHARED | {"empirics"}:
            found.append(f"line {line}: empirics shares only the specs with theory, not {name}")
    return found


@every_module
def test_imports_go_one_way(path: Path) -> None:
    if path != PACKAGE / "__init__.py":  # which names everything and imports nothing until asked
        assert not faults(parse(path), package_of(path), module_of(path))


@pytest.mark.parametrize("source, package, module", [
    ("from .theory import support", [], "kernels"),
    ("from ..theory.predict import predict", ["empirics"], "empirics.measure"),
    ("from ..lattice import Field", ["empirics"], "empirics.ops"),
    ("from ..empirics import ops", ["theory"], "theory.power"),
    ("from .predict import predict", ["theory"], "theory.support"),
    ("from .theory.predict import predict", [], "result"),
    ("import erfmath.cli", [], "result"),
    ("from erfmath.plotting import plot", [], "network"),
    ("def f():\n    from . import cli", [], "plotting"),
    ("from . import predict", [], "layers"),
    ("from .nowhere import x", [], "cli"),
    ("import math", [], "nowhere"),
])
def test_a_wrong_way_import_is_caught(source: str, package: list[str], module: str) -> None:
    assert faults(ast.parse(source), package, module)


@pytest.mark.parametrize("source, package, module", [
    ("from ..network import Network", ["theory"], "theory.power"),
    ("from .ops import conv", ["empirics"], "empirics.measure"),
    ("from ..layers import Conv", ["empirics"], "empirics.ops"),
    ("import numpy\nfrom .errors import SizeError", [], "lattice"),
    ("from .theory.support import ReceptiveField", [], "result"),
    ("if TYPE_CHECKING:\n    from .result import EffectiveReceptiveField", [], "sizes"),
])
def test_a_right_way_import_is_not(source: str, package: list[str], module: str) -> None:
    assert not faults(ast.parse(source), package, module)


@every_module
def test_only_the_four_packages(path: Path) -> None:
    allowed = OUTSIDE | set(sys.stdlib_module_names) | {"erfmath"}
    strange = {name for name, _ in imports(parse(path), package_of(path))
               if name.split(".")[0] not in allowed}
    assert not strange


@every_module
def test_length(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@every_module
def test_has_all_and_a_docstring(path: Path) -> None:
    tree = parse(path)
    assert ast.get_docstring(tree), "a module says in its docstring what it is"
    targets = {target.id for node in tree.body
               for target in (node.targets if isinstance(node, ast.Assign) else
                              [node.target] if isinstance(node, ast.AnnAssign) else [])
               if isinstance(target, ast.Name)}
    assert "__all__" in targets


@every_module
def test_nothing_is_evaluated_or_unpickled(path: Path) -> None:
    tree = parse(path)
    called = {node.func.id for node in ast.walk(tree)
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "__import__"}
    named = {name.split(".")[0] for name, _ in imports(tree, package_of(path))}
    assert not named & {"pickle", "marshal", "shelve", "dill"}
    assert not any(isinstance(node, ast.keyword) and node.arg == "allow_pickle"
                   and not (isinstance(node.value, ast.Constant) and node.value.value is False)
                   for node in ast.walk(tree))


def test_public_names() -> None:
    """`__all__`, the names type checkers see and the names that can be had are the same."""
    checked = next(node for node in parse(PACKAGE / "__init__.py").body
                   if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {name.split(".")[-1] for name, _ in imports(checked, [])}
    assert seen == set(em.__all__)
    assert sorted(em.__all__) == em.__all__ and set(em.__all__) <= set(dir(em))
    for name in em.__all__:
        assert getattr(em, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        em.nothing


def test_no_submodule_bears_the_name_of_a_function() -> None:
    submodules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if path.is_dir()}
    functions = {name for name in em.__all__ if callable(getattr(em, name))}
    assert not submodules & functions


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=PACKAGE.parent)
    return done.stdout.strip()


LOADED = "; import sys; print(sorted({m.split('.')[0] for m in sys.modules} & {'%s'}))"


def test_importing_erfmath_imports_none_of_the_big_packages() -> None:
    watched = LOADED % "', '".join(sorted(OUTSIDE))
    assert run_python("import erfmath" + watched) == "[]"


@every_module
def test_no_module_imports_scipy_or_matplotlib_at_the_top(path: Path) -> None:
    """They are imported inside the functions that need them."""
    top = ast.Module(body=[node for node in without_type_checking(parse(path)).body
                           if isinstance(node, (ast.Import, ast.ImportFrom))], type_ignores=[])
    named = {name.split(".")[0] for name, _ in imports(top, package_of(path))}
    assert not named & {"scipy", "matplotlib", "mpl_toolkits"}
