"""What the commands print: results as plain values, as JSON and as readable lines."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..base.progress import Progress
from ..base.tables import csv_table, latex_table, text_table
from ..results.trained import TrainedReceptiveField

if TYPE_CHECKING:
    from ..networks.trf import ReceptiveField
    from ..results.field import EffectiveReceptiveField

__all__ = ["Answer", "effective", "field", "or_none", "progress", "shown", "text", "to_json", "window", "window_line"]

MASSES = (0.5, 0.9, 0.99)
MOST_PIXELS = 2**23


@dataclass(frozen=True)
class Answer:
    """What a command found: `values` for machines, `text` for people, `rows` for tables, and its exit status.

    Without `rows` the tables hold all `values`, a name and a number a row.
    """

    values: Mapping[str, Any]
    text: str
    rows: Sequence[Sequence[Any]] | None = None
    status: int = 0


def shown(answers: Answer | Iterator[Answer], options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """What is to be printed, piece by piece, each with an exit status."""
    about = {"erfmath": __version__, "command": options.command}
    if isinstance(answers, Answer):
        text = to_json({**about, **answers.values}) if options.json else _table(answers, options.table)
        yield text, answers.status
    elif options.json:
        found = list(answers)
        yield to_json({**about, "results": [one.values for one in found]}), 0
    else:
        yield from ((f"{_table(one, options.table)}\n", 0) for one in answers)


def _table(answer: Answer, form: str) -> str:
    if form == "text":
        return answer.text
    rows = answer.rows or [("name", "value"), *_flat(_plain(answer.values))]
    return csv_table(rows) if form == "csv" else latex_table(rows)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values of all that is nested in `value`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _flat(item, f"{name}[{i}]")
    else:
        yield name, value


def progress(options: argparse.Namespace, label: str) -> AbstractContextManager[Any]:
    """The progress bar of a command, unless it is to be quiet."""
    return nullcontext(lambda done, total: None) if options.quiet else Progress(label)


def field(rf: ReceptiveField) -> dict[str, Any]:
    """The theoretical receptive field of a node; a size of None is the whole image."""
    return {"size": rf.size, "stride": rf.stride, "padding": rf.padding, "shift_invariant": rf.shift_invariant}


def window(rf: ReceptiveField, unit: tuple[int, ...]) -> dict[str, Any]:
    """First and last pixel and TRF centre of what a unit sees; None if that is the whole plane."""
    if rf.infinite:
        return {"window": None, "center": None}
    return {"window": rf.window(unit), "center": rf.center(unit)}


def window_line(rf: ReceptiveField, unit: tuple[int, ...]) -> str:
    """The same for people."""
    seen = window(rf, unit)
    if seen["window"] is None:
        where = "sees the whole plane; give --image for a window"
    else:
        lo, hi = seen["window"]
        where = f"sees pixels {point(lo)} to {point(hi)}, centre {point(seen['center'])}"
    return f"unit {point(unit)} of {rf.node} {where}"


def effective(erf: EffectiveReceptiveField) -> dict[str, Any]:
    """The numbers of an effective receptive field, in input pixels."""
    # Discs need the map itself, which is never built for deep chains.
    masses = MASSES if math.prod(erf.shape) <= MOST_PIXELS else ()
    return {
        "node": erf.node, "unit": erf.unit, "image": erf.image,
        "statistic": erf.statistic, "method": erf.method,
        "trf": field(erf.trf), **window(erf.trf, erf.unit),
        "centroid": erf.centroid, "std": erf.std,
        "size": {kind: or_none(lambda: erf.size(kind)) for kind in ("threshold", "mass")},
        "ratio": or_none(erf.ratio),
        "mass_radius": {f"{mass:g}": erf.mass_radius(mass) for mass in masses},
        "one_network": _one_network(erf), **_gates(erf),
        "assumptions": {assumption.name: assumption.value for assumption in erf.assumptions},
    }


def _one_network(erf: EffectiveReceptiveField) -> dict[str, Any] | None:
    """How single networks scatter about a mean field, where that is told soon."""
    one = erf._soon()
    return None if one is None else {"std": one.std, "size": one.size, "log_total": one.log_total}


def _gates(erf: EffectiveReceptiveField) -> dict[str, Any]:
    """Of given weights under a hypothesis about their gates."""
    if not isinstance(erf, TrainedReceptiveField):
        return {}
    return {"gates": erf.gates, "std_stderr": erf.std_stderr, "coherent": erf.coherent,
            "contributions": dict(erf.contributions)}


def or_none(value: Callable[[], Any]) -> Any:
    """None for numbers that this field does not have, or that need more memory than there is."""
    try:
        return value()
    except ValueError:
        return None


def text(values: Mapping[str, Any]) -> str:
    """`effective`, with the network's name, as a readable table."""
    lo, hi = values["window"]
    radii = ", ".join(f"{float(mass):.0%} within {number(radius)}" for mass, radius in values["mass_radius"].items())
    image = "infinite plane" if values["image"] is None else point(values["image"], " x ")
    seen = [last - first + 1 for first, last in zip(lo, hi)]
    threshold, square = (number(values["size"][kind]) for kind in ("threshold", "mass"))
    rows = {
        "network": f"{values['network']}, unit {point(values['unit'])} of {values['node']}",
        "image": image,
        "statistic": f"{values['statistic']}, {values['method']}",
        "TRF": f"{point(seen, ' x ')} px, pixels {point(lo)} to {point(hi)}",
        "TRF centre": point(values["center"]),
        "centroid": point(values["centroid"]),
        "std": f"{point(values['std'], ' x ')} px",
        "size": (f"{threshold} px with amplitude above 4.55 % of the centre's, "
                 f"{square} px for a square with 95 % of the mass"),
        "one network": "" if values.get("one_network") is None else (
            f"of this width scatters by +- {values['one_network']['size']:.2g} px"),
        "gates": "" if "gates" not in values else (
            f"{values['gates']}, {values['coherent']:.1%} of the power coherent; standard error of the std "
            f"{point([f'{error:.2g}' for error in values['std_stderr']], ' x ')} px"),
        "ratio to TRF": "-" if values["ratio"] is None else f"{values['ratio']:.3g}",
        "mass": f"{radii} px of the TRF centre" if radii else "",
        "assumptions": "\n".join(values["assumptions"].values()) or "none",
    }
    return text_table([row for row in rows.items() if row[1]])


def point(values: Any, separator: str = ", ") -> str:
    """One value per axis; several as a point in brackets, or with a separator of their own."""
    words = separator.join(map(number, values))
    return f"({words})" if separator == ", " and len(values) > 1 else words


def number(value: Any) -> str:
    """Four digits, all those before the point, and no exponent for what is a number of pixels; - for None."""
    if value is None:
        return "-"
    value = round(float(value), 9) + 0.0  # no -0
    return f"{value:.0f}" if abs(value) >= 1000 or value == round(value) else f"{value:.4g}"


def to_json(values: Mapping[str, Any]) -> str:
    """JSON with plain numbers: no infinities, no fractions."""
    return json.dumps(_plain(values), indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (Fraction, float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else None
    return int(value) if isinstance(value, np.integer) else value
