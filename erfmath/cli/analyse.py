"""The command that measures gradients from elsewhere: ``erfmath analyse``."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import MAGIC_PREFIX

import erfmath as em

from ..base.errors import quoted
from ..base.files import BROKEN, check_archive, open_regular
from ..results.gradients import STATISTICS
from . import report, targets
from .report import Answer

if TYPE_CHECKING:
    from ..results.field import EffectiveReceptiveField

__all__ = ["add_analyse_options", "analyse"]

PERIODS = (2, 4, 8, 16, 32)
MASSES = (0.5, 0.9, 0.99)
#: Options that say how gradients become a result, and mean nothing for one that was saved.
OF_GRADIENTS = ("statistic", "normalise", "center", "trf", "channels")


def add_analyse_options(parser: argparse.ArgumentParser, integers: Callable[[str], Any]) -> None:
    """What the command takes; `integers` reads ``224`` or ``224,320``."""
    parser.add_argument("file", metavar="FILE",
                        help=".npy, or .npz with one array, of gradients (samples, channels, *space); or a "
                             "result that --save wrote")
    parser.add_argument("--statistic", choices=STATISTICS, help="mean of g^2, abs(g), max(g, 0) or g (default: power)")
    parser.add_argument("--normalise", choices=("sample",), help="divide the map of each sample by its sum first")
    parser.add_argument("--center", type=_numbers, metavar="Y,X",
                        help="TRF centre of the unit in pixels, from 0 (default: the middle of the image)")
    parser.add_argument("--trf", type=integers, metavar="N",
                        help="size of the theoretical receptive field, for the ratio to it")
    parser.add_argument("--channels", choices=("first", "last"),
                        help="channel axis: first (NCHW) or last (NHWC) (default: first)")
    parser.add_argument("--background", action="store_true",
                        help="also measure what is above the background of the map")
    parser.add_argument("--plot", metavar="FILE", help="draw the picture (.png, .pdf, .svg, ...)")
    parser.add_argument("--save", metavar="FILE", help="save the result (.npz)")


def _numbers(text: str) -> float | tuple[float, ...]:
    """``111.5`` or ``96,112``."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: must be numbers, as 111.5 or 96,112") from None
    return numbers[0] if len(numbers) == 1 else numbers


def analyse(options: argparse.Namespace) -> Answer:
    """``erfmath analyse``: sizes and scores of a unit's gradients, or of a saved result."""
    draw = targets.picture(options.plot)
    targets.archive(options.save)
    with report.progress(options, f"analyse {options.file}"):
        erf = _result(options)
        columns = {"whole": numbers(erf)}
        if options.background:
            columns["above background"] = numbers(erf.above_background())
        values: dict[str, Any] = {
            "file": options.file, "image": erf.image, "statistic": erf.statistic, "method": erf.method,
            "center": erf.center, "trf": None if erf.window is None else report.field(erf.trf)["size"],
            "background": report.or_none(lambda: _background(erf)), **columns}
        if options.plot:
            draw(em.plotting.plot(erf, title=os.path.basename(options.file)))
    if options.save:
        erf.save(options.save)
    return Answer(values, _text(values, columns))


# ---------------------------------------------------------------------------------------------
# files
# ---------------------------------------------------------------------------------------------

def _result(options: argparse.Namespace) -> EffectiveReceptiveField:
    """The saved result, or the one of the gradients; its warnings go to stderr, a line each."""
    grads = _read(options.file)
    given = [name for name in OF_GRADIENTS if getattr(options, name) is not None]
    if grads is None:
        if given:
            raise ValueError(f"--{given[0]}: {options.file} is a saved result, of which that is settled")
        return em.EffectiveReceptiveField.load(options.file)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        erf = em.EffectiveReceptiveField.from_gradients(
            grads, statistic=options.statistic or "power", unit_center=options.center, trf=options.trf,
            normalise=options.normalise, channels=options.channels or "first")
    for warning in found:
        print(f"erfmath: warning: {warning.message}", file=sys.stderr)
    return erf


def _read(path: str) -> Any:
    """The array of a file; None if it is a saved result."""
    try:
        with io.BytesIO(sys.stdin.buffer.read()) if path == "-" else open_regular(path) as file:
            if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                file.seek(0)
                return (np.load(file, allow_pickle=False) if path == "-" else
                        np.load(path, mmap_mode="r", allow_pickle=False))
            check_archive(file)
            with np.load(file, allow_pickle=False) as arrays:
                if "about" in arrays.files:
                    return None
                if len(arrays.files) != 1:
                    raise ValueError(f"holds {len(arrays.files)} arrays ({', '.join(arrays.files)}); must be one")
                return arrays[arrays.files[0]]
    except BROKEN as error:
        raise ValueError(f"{path}: not a file of gradients ({error})") from None


# ---------------------------------------------------------------------------------------------
# numbers
# ---------------------------------------------------------------------------------------------

def numbers(erf: EffectiveReceptiveField) -> dict[str, Any]:
    """Sizes and scores; those that are not defined for this field are None."""
    shapes, fit = em.shapes, report.or_none(lambda: erf.gaussian_fit(offset=True))
    fitted = None if fit is None else fit._asdict() | {"std": fit.std, "stderr": fit.stderr._asdict()}
    return {
        "centroid": erf.centroid, "std": erf.std, "std_stderr": getattr(erf, "std_stderr", None),
        "rms_radius": erf.rms_radius,
        "size": {name: report.or_none(lambda: erf.size(name)) for name in em.sizes.KINDS},
        "ratio": None if erf.window is None else erf.ratio(),
        "mass_radius": {f"{p:g}": report.or_none(lambda: erf.mass_radius(p)) for p in MASSES},
        "gaussian_fit": fitted,
        "gaussian_distance": _plain(lambda: shapes.gaussian_distance(erf)),
        "kurtosis": _plain(lambda: shapes.kurtosis(erf)),
        "anisotropy": _plain(lambda: shapes.anisotropy(erf)),
        "hole_density": report.or_none(lambda: shapes.hole_density(erf)),
        "periodicity": report.or_none(lambda: {
            f"{period}": found._asdict() for period, found in shapes.periodicity(erf, PERIODS).items()}),
    }


def _plain(value: Callable[[], Any]) -> Any:
    found = report.or_none(value)
    return None if found is None else found._asdict()


def _background(erf: EffectiveReceptiveField) -> dict[str, float]:
    """The level, and the part of the sum of the map that lies below it."""
    level = erf.background()
    return {"level": level, "part": 1 - erf.above_background(level).total / erf.total}


ROWS: tuple[tuple[str, Callable[[dict[str, Any]], Any], str], ...] = (
    ("centroid", lambda v: v["centroid"], "px"),
    ("std per axis", lambda v: v["std"], "px"),
    ("  standard error", lambda v: v["std_stderr"], "px, over the samples"),
    ("threshold", lambda v: v["size"]["threshold"], "px, amplitude above 4.55 % of the centre's"),
    ("half_max", lambda v: v["size"]["half_max"], "px, amplitude above half of the centre's"),
    ("ratio to TRF", lambda v: v["ratio"], "of threshold"),
    ("std", lambda v: v["size"]["std"], "px, mean of the axes"),
    ("mass", lambda v: v["size"]["mass"], "px, square that holds 95 %"),
    ("mass radii", lambda v: list(v["mass_radius"].values()), "px, discs that hold 50, 90, 99 %"),
    ("participation", lambda v: v["size"]["participation"], "pixels"),
    ("area_ratio", lambda v: v["size"]["area_ratio"], "of the image, square that holds 99 %"),
    ("area_ratio_log10", lambda v: v["size"]["area_ratio_log10"], "the same of log10(map + 1): changes with scale"),
    ("Gaussian fit, std", lambda v: (v["gaussian_fit"] or {}).get("std"), "px, with offset"),
    ("  R^2", lambda v: (v["gaussian_fit"] or {}).get("r_squared"), ""),
    ("distance to CLT", lambda v: (v["gaussian_distance"] or {}).get("total_variation"), "total variation"),
    ("excess kurtosis", lambda v: (v["kurtosis"] or {}).get("axes"), "per axis; 0 for a Gaussian"),
    ("anisotropy", lambda v: (v["anisotropy"] or {}).get("ratio"), "longest over shortest std"),
    ("hole density", lambda v: v["hole_density"], "sites without gradient"),
    ("periodicity", lambda v: [found["joint"] for found in (v["periodicity"] or {}).values()],
     f"strength at periods {', '.join(map(str, PERIODS))}"),
)


def _text(values: dict[str, Any], columns: dict[str, dict[str, Any]]) -> str:
    level = values["background"]
    head = {"file": values["file"], "image": report.point(values["image"] or (), " x ") or "infinite plane",
            "statistic": f"{values['statistic']}, {values['method']}", "TRF centre": report.point(values["center"]),
            "TRF": report.point(values["trf"], " x ") + " px" if values["trf"] else "not known",
            "background": f"{level['level']:.4g}, {level['part']:.1%} of the sum of the map" if level else "not known"}
    rows = [("", *(columns if len(columns) > 1 else [""]), "")]
    for name, get, unit in ROWS:
        cells = [_cell(get(numbers)) for numbers in columns.values()]
        if any(cells):
            rows.append((name, *cells, unit))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    width = max(map(len, head))
    return "\n".join([*(f"{name.ljust(width)}  {value}" for name, value in head.items()), *lines])


def _cell(value: Any) -> str:
    """A number, several of them, or nothing where there is none."""
    if value is None or (np.ndim(value) and (not len(value) or None in value)):
        return ""
    return ", ".join("none" if np.isnan(x) else report.number(x) for x in np.atleast_1d(value))
