"""The rules of the house: which room may look into which, and what no module may do."""

from __future__ import annotations

import ast
import functools
import io
import subprocess
import sys
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import erfmath as em

PACKAGE = Path(em.__file__).parent

# From the foundation up. A module imports only from its own room and from rooms above it in this
# list; within `theory`, `empirics` and `networks` the order of their own parts counts as well.
ROOMS = [
    "base",
    "lattice",
    "walks",
    "layers",
    "networks.hints", "networks.json", "networks.windows", "networks.strands", "networks.trf", "networks.support",
    "networks.images", "networks.settings",
    "networks.network", "networks.building", "networks.builder", "networks.zoo",
    "readers",
    "results",
    "theory",
    "empirics",
    "trained",
    "readers.model", "readers.reading",
    "training",
    "comparison",
    "analysis",
    "plotting",
    "reporting",
    "figures",
    "bench",
    "cli", "__main__",
]
LEVEL = {room: level for level, room in enumerate(ROOMS)}
# What theory and empirics share: the specs, and the result that both fill in.
SHARED = {"base", "layers", "results", *(room for room in ROOMS if room.startswith("networks"))}
#: Imported by a reader inside the function that is handed one of their objects, and by nothing else.
FRAMEWORKS = {"torchvision", "timm", "torch", "keras", "h5py"}
OUTSIDE = {"numpy", "scipy", "matplotlib", "mpl_toolkits"}
#: Calls upwards on request, inside functions of these names: of what draws pictures, of the gates of given weights, of
#: how single networks scatter about a mean field, of names of the zoo in a message.
LAZY = {"plot", "report", "_through_gates", "_scatter", "_of_zoo"}
LONGEST = 500
#: Modules without a test module of their name, and why.
TESTED_ELSEWHERE = {"theory.rules.registry": "imports all families and holds nothing; see tests/test_registries.py"}

#: A public name stands for the module that defines it, a public module for where it is.
HOME: dict[str, str] = {**vars(em)["_HOME"], **vars(em)["_SUBMODULES"]}
MODULES = sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> list[str]:
    """The package a module's relative imports start from, without the leading `erfmath`."""
    return list(path.relative_to(PACKAGE).parent.parts)


def module_of(path: Path) -> str:
    """Dotted name of a module or package below `erfmath`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str | None:
    """The longest beginning of a dotted name that has a room."""
    parts = module.split(".")
    beginnings = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in beginnings if name in LEVEL), None)


def left_out(node: ast.AST) -> bool:
    """What does not count as run: blocks under `if TYPE_CHECKING:`, and lazy calls."""
    return (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            or isinstance(node, ast.FunctionDef) and node.name in LAZY)


def statements(tree: ast.AST, run: bool) -> Iterator[ast.AST]:
    """All statements, or those that count as run; expressions hold no imports and are not looked into."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [child for field in ("body", "orelse", "handlers", "finalbody", "cases")
                    for child in getattr(node, field, ()) if not (run and left_out(child))]


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST, package: list[str], run: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute dotted names that a module of `package` imports, or imports as it runs, with their lines."""
    for node in statements(tree, run):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = ["erfmath", *package][:len(package) + 2 - node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                yield ".".join([*base, alias.name]), node.lineno


def inner(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """The names of erfmath that a module imports as it runs, below `erfmath`, with the lines."""
    for name, line in imports(tree, package, run=True):
        parts = name.split(".")
        if parts[0] == "erfmath" and len(parts) > 1 and parts[1] != "__version__":
            yield HOME.get(parts[1], ".".join(parts[1:])), line


def faults(tree: ast.Module, package: list[str], module: str) -> list[str]:
    """What the one-way rule finds wrong with a module."""
    if module in ("networks", "__init__"):
        return []
    room = room_of(module)
    if room is None:
        return [f"{module} has no room; give it one in ROOMS"]
    found = []
    for name, line in inner(tree, package):
        target = room_of(name)
        if target is None:
            found.append(f"{module}:{line}: {name} has no room; give it one in ROOMS")
        elif LEVEL[target] > LEVEL[room]:
            found.append(f"{module}:{line}: imports {name}, which lies below it")
        elif room == "empirics" and target not in SHARED | {"empirics"}:
            found.append(f"{module}:{line}: empirics shares only the specs with theory, not {name}")
    return found


def loaded(module: str, names: set[str]) -> str | None:
    """The module of `names` that importing `module` (a dotted name, maybe of something inside one) loads."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in names), None)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules that import each other, or an empty list."""
    waiting = {module: set(targets) - {module} for module, targets in graph.items()}
    while ready := {module for module, targets in waiting.items() if not targets}:
        waiting = {module: targets - ready for module, targets in waiting.items() if module not in ready}
    return sorted(waiting)


def test_imports_go_one_way() -> None:
    found = [fault for path in MODULES
             for fault in faults(parse(path), package_of(path), module_of(path))]
    assert not found, "\n".join(found)


def test_no_circles() -> None:
    names = {module_of(path) for path in MODULES}
    graph = {}
    for path in MODULES:
        graph[module_of(path)] = {target for name, _ in inner(parse(path), package_of(path))
                                  if (target := loaded(name, names)) is not None}
    assert not circle(graph), f"in or below a circle of imports: {', '.join(circle(graph))}"


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("source, package, module", [
    ("from ..networks import trf", ["lattice"], "lattice.kernels"),
    ("from ..theory.predict import predict", ["empirics"], "empirics.measure"),
    ("from ..lattice import Field", ["empirics"], "empirics.ops"),
    ("from ..empirics import ops", ["theory"], "theory.predict"),
    ("from .network import Network", ["networks"], "networks.trf"),
    ("from ..theory.predict import predict", ["results"], "results.field"),
    ("import erfmath.cli", [], "results.field"),
    ("from erfmath.plotting import plot", ["networks"], "networks.network"),
    ("def f():\n    from .. import cli", ["plotting"], "plotting.maps"),
    ("from .. import predict", ["layers"], "layers.base"),
    ("from .nowhere import x", [], "cli"),
    ("import math", [], "nowhere"),
])
def test_a_wrong_way_import_is_caught(source: str, package: list[str], module: str) -> None:
    assert faults(ast.parse(source), package, module)


@pytest.mark.parametrize("source, package, module", [
    ("from ..networks.network import Network", ["theory"], "theory.predict"),
    ("from .ops import conv", ["empirics"], "empirics.measure"),
    ("from ..layers import Conv", ["empirics"], "empirics.ops"),
    ("import numpy\nfrom ..base.errors import SizeError", ["lattice"], "lattice.field"),
    ("from ..networks.trf import ReceptiveField", ["results"], "results.field"),
    ("if TYPE_CHECKING:\n    from ..theory import predict", ["results"], "results.sizes"),
    ("def plot():\n    from ..plotting import plot", ["results"], "results.field"),
])
def test_a_right_way_import_is_not(source: str, package: list[str], module: str) -> None:
    assert not faults(ast.parse(source), package, module)


def test_only_the_four_packages() -> None:
    allowed = OUTSIDE | set(sys.stdlib_module_names) | {"erfmath"}
    found = [f"{module_of(path)}:{line}: {name}" for path in MODULES
             for name, line in imports(parse(path), package_of(path))
             if name.split(".")[0] not in allowed | (
                 FRAMEWORKS if "readers" in (path.parent.name, path.stem) else set())]
    assert not found, "\n".join(found)


def lines_of_code(source: str) -> int:
    """Lines that hold code: blank ones, comments and docstrings do not count."""
    held: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            held |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code = {line for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type not in empty
            for line in range(token.start[0], token.end[0] + 1)}
    return len(code - held)


def test_length() -> None:
    assert lines_of_code('"""Doc."""\n\n# a comment\nx = """a\nb"""\n') == 2
    texts = {module_of(path): path.read_text(encoding="utf-8") for path in MODULES}
    long = {module: n for module, text in texts.items()
            if text.count("\n") > LONGEST and (n := lines_of_code(text)) > LONGEST}
    assert not long, f"more than {LONGEST} lines of code: {long}"


def home_of_tests(module: str) -> Path:
    """Where the tests of a module are: in the same place below `tests`, without the underscore of a private name."""
    *folders, name = module.split(".")
    return Path(__file__).parent.joinpath(*folders, f"test_{name.lstrip('_')}.py")


def test_every_module_has_tests_of_its_name() -> None:
    modules = {module_of(path) for path in MODULES if path.stem not in ("__init__", "__main__")}
    without = {module for module in modules if not home_of_tests(module).exists()}
    unused = set(TESTED_ELSEWHERE) - without
    told = [f"{module}: no {home_of_tests(module).relative_to(PACKAGE.parent)}" for module in sorted(
        without - set(TESTED_ELSEWHERE))] + [f"{module}: has tests, and is in the list" for module in unused]
    assert not told, "\n".join(told)


def test_modules_have_all_and_a_docstring() -> None:
    found = []
    for path in MODULES:
        tree = parse(path)
        targets = {target.id for node in tree.body
                   for target in (node.targets if isinstance(node, ast.Assign) else
                                  [node.target] if isinstance(node, ast.AnnAssign) else [])
                   if isinstance(target, ast.Name)}
        if not ast.get_docstring(tree) or "__all__" not in targets:
            found.append(module_of(path))
    assert not found, f"without docstring or __all__: {', '.join(found)}"


def test_nothing_is_evaluated_or_unpickled() -> None:
    found = []
    for path in MODULES:
        tree = parse(path)
        called = {node.func.id for node in ast.walk(tree)
                  if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        named = {name.split(".")[0] for name, _ in imports(tree, package_of(path))}
        pickles = any(isinstance(node, ast.keyword) and node.arg == "allow_pickle"
                      and not (isinstance(node.value, ast.Constant) and node.value.value is False)
                      for node in ast.walk(tree))
        if pickles or called & {"eval", "exec", "__import__"} or named & {"pickle", "marshal", "shelve", "dill"}:
            found.append(module_of(path))
    assert not found, f"evaluate or unpickle: {', '.join(found)}"


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


def test_dir_shows_public_names_only() -> None:
    modules = {f"em.{name}": value for name in em.__all__ if isinstance(value := getattr(em, name), types.ModuleType)}
    found = [f"{where}.{name}" for where, module in {"em": em, **modules}.items() for name in dir(module)
             if name not in module.__all__ and not name.startswith("__")]
    assert len(modules) == len(vars(em)["_SUBMODULES"]) and not found, f"not public: {', '.join(found)}"


def test_no_submodule_bears_the_name_of_a_function() -> None:
    submodules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if path.is_dir()}
    functions = {name for name in em.__all__ if callable(getattr(em, name))}
    assert not submodules & functions


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=PACKAGE.parent)
    return done.stdout.strip()


#: What an import loads; Matplotlib 3.7 has `mpl_toolkits` loaded when Python starts.
LOADED = """
import sys
started = set(sys.modules)
import erfmath
print(sorted({m.split('.')[0] for m in set(sys.modules) - started} & {'%s'}))
"""


def test_importing_erfmath_imports_none_of_the_big_packages() -> None:
    assert run_python(LOADED % "', '".join(sorted(OUTSIDE))) == "[]"


def test_only_numpy_is_imported_at_the_top() -> None:
    """They are imported inside the functions that need them."""
    found = []
    for path in MODULES:
        top = ast.Module(body=[node for node in parse(path).body
                               if isinstance(node, (ast.Import, ast.ImportFrom))], type_ignores=[])
        named = {name.split(".")[0] for name, _ in imports(top, package_of(path))}
        if named & ({"scipy", "matplotlib", "mpl_toolkits"} | FRAMEWORKS):
            found.append(module_of(path))
    assert not found, f"import SciPy, Matplotlib or a framework at the top: {', '.join(found)}"
