"""Functions of one value written as text, `x * sigmoid(1.7 * x)`, as steps of operations.

A text is Python's syntax of numbers, ``+ - * / **``, comparisons, calls of the functions in `ARITY`, and names given
before in ``t1 = exp(x); t1 / (1 + t1)``.  It is parsed, never run.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple, Union

__all__ = ["ARITY", "Step", "parse", "written"]

#: Functions of a text, and how many values they take.
ARITY = {**dict.fromkeys((
    "exp", "expm1", "log", "log1p", "sqrt", "abs", "sign", "floor", "ceil", "round", "sin", "cos", "tan", "atan",
    "sinh", "cosh", "asinh", "tanh", "sigmoid", "softplus", "erf"), 1), "max": 2, "min": 2, "where": 3}
#: Longest text, and most operations.
LONGEST, MOST = 20_000, 500

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_NUMBERS: dict[str, Callable[[float, float], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "**": operator.pow}
_COMPARED = {ast.Gt: ">", ast.GtE: ">", ast.Lt: "<", ast.LtE: "<"}
#: How tightly operations bind; calls and values bind tightest.
_BINDS = {">": 0, "<": 0, "+": 1, "-": 1, "*": 2, "/": 2, "**": 4}


class Step(NamedTuple):
    """An operation: "x", one of ``+ - * / ** > <``, or of `ARITY`; an int in `parts` is an earlier step."""

    op: str
    parts: tuple[Union[int, float], ...] = ()


@functools.lru_cache(256)
def parse(text: str) -> tuple[Step, ...]:
    """The steps of a text: the value x first, the result last; what is written twice is one step.

    Raises
    ------
    ValueError
        If the text is no function of x.

    Examples
    --------
    >>> parse("x * tanh(x)")
    (Step(op='x', parts=()), Step(op='tanh', parts=(0,)), Step(op='*', parts=(0, 1)))
    """
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters, at most {LONGEST}")
        found = _Parser().run(ast.parse(text.strip(), mode="exec").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot be parsed ({type(error).__name__})") from None
    except OverflowError:
        raise ValueError("has a number that is too large") from None
    return found


class _Parser:
    def __init__(self) -> None:
        self.steps = [Step("x")]
        self.index: dict[str, int] = {}  # by their text: 1 and 1.0 are equal, a step and a number are not
        self.names: dict[str, Union[int, float]] = {"x": 0}

    def run(self, body: list[ast.stmt]) -> tuple[Step, ...]:
        for statement in body[:-1]:
            target = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
            if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Name) or target.id == "x":
                raise ValueError("must be an expression of x, after names given as 't = exp(x);'")
            self.names[target.id] = self.value(statement.value)
        if not body or not isinstance(body[-1], ast.Expr):
            raise ValueError("must end with an expression of x")
        last = self.value(body[-1].value)
        if not isinstance(last, int):
            raise ValueError("does not depend on x")
        return self.needed(last)

    def needed(self, last: int) -> tuple[Step, ...]:
        """What the step `last` is made of, x always first."""
        steps = self.steps
        wanted = {0, last}
        for i in range(last, 0, -1):
            if i in wanted:
                wanted.update(part for part in steps[i].parts if isinstance(part, int))
        order = sorted(wanted)
        number = {old: new for new, old in enumerate(order)}
        return tuple(Step(steps[i].op, tuple(number[p] if isinstance(p, int) else p for p in steps[i].parts))
                     for i in order)

    def step(self, op: str, *parts: Union[int, float]) -> int:
        step = Step(op, parts)
        if not any(isinstance(part, int) for part in parts):
            raise ValueError(f"{op} of numbers alone; write the number")
        if len(self.steps) > MOST:
            raise ValueError(f"more than {MOST} operations")
        found = self.index.setdefault(repr(step), len(self.steps))
        if found == len(self.steps):
            self.steps.append(step)
        return found

    def value(self, node: ast.expr) -> Union[int, float]:
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            if node.id not in self.names:
                raise ValueError(f"knows no {node.id!r}; the value is x")
            return self.names[node.id]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self.value(node.operand)
            if isinstance(node.op, ast.UAdd):
                return inner
            return -inner if isinstance(inner, float) else self.step("*", inner, -1.0)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self.binary(_BINARY[type(node.op)], self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARED:
            return self.step(_COMPARED[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            name, parts = node.func.id, [self.value(part) for part in node.args]
            if name not in ARITY:
                raise ValueError(f"knows no function {name!r}; there are {', '.join(ARITY)}")
            if len(parts) != ARITY[name]:
                raise ValueError(f"{name} takes {ARITY[name]} values, not {len(parts)}")
            return self.step(name, *parts)
        raise ValueError(f"contains something other than arithmetic ({type(node).__name__})")

    def binary(self, op: str, left: Union[int, float], right: Union[int, float]) -> Union[int, float]:
        if isinstance(left, float) and isinstance(right, float):
            try:
                return float(_NUMBERS[op](left, right))
            except (ZeroDivisionError, TypeError):
                raise ValueError(f"{left} {op} {right} is no number") from None
        return self.step(op, left, right)


def written(steps: tuple[Step, ...]) -> str:
    """The text of steps; what is read more than once has a name.

    Examples
    --------
    >>> written(parse("exp(x)/(1+exp(x))"))
    't1 = exp(x); t1 / (1 + t1)'
    """
    reads = [0] * len(steps)
    for step in steps:
        for part in step.parts:
            if isinstance(part, int):
                reads[part] += 1
    texts: list[tuple[str, int]] = [("x", 9)]
    named: list[str] = []
    for i, step in enumerate(steps[1:], 1):
        text, binds = _text(step, texts)
        if reads[i] > 1:
            named.append(f"t{len(named) + 1} = {text}")
            text, binds = f"t{len(named)}", 9
        texts.append((text, binds))
    return "; ".join([*named, texts[-1][0]])


def _text(step: Step, texts: list[tuple[str, int]]) -> tuple[str, int]:
    parts = [texts[p] if isinstance(p, int) else (_number(p), 9 if p >= 0 else 3) for p in step.parts]
    if step.op in ARITY:
        return f"{step.op}({', '.join(text for text, _ in parts)})", 9
    level = _BINDS[step.op]
    (left, one), (right, other) = parts
    left = f"({left})" if one < level or level in (0, 4) and one < 9 else left
    right = f"({right})" if other <= level else right
    return f"{left} {step.op} {right}", level


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
