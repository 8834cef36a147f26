"""Results as files: npz archives of arrays, and of one JSON text that says what they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..base.checks import DIMENSIONS, choice, image_shape, integer, point, real
from ..base.contents import field_of
from ..base.errors import quoted
from ..base.files import BROKEN, check_name, read_archive, write_archive
from ..networks.trf import ReceptiveField
from .assumptions import as_stored, from_stored
from .density import Density
from .kinds import KINDS

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField

__all__ = ["read", "write"]

#: Sites up to which floats tell each from the next.
FAR = 2**53


def write(erf: EffectiveReceptiveField, path: str | os.PathLike[str]) -> None:
    """What ``EffectiveReceptiveField.save`` does."""
    density, arrays = erf.density.stored()
    kind, more, facts = erf._extras()
    about = {"kind": kind, "density": density.kind, "origin": density.origin, "log_total": density.log_total,
             "unit": erf.unit, "image": erf.image, "statistic": erf.statistic, "method": erf.method,
             "assumptions": as_stored(erf.assumptions), "center": erf._center,
             "trf": None if erf._trf is None else erf._trf.to_dict(), "facts": facts}
    write_archive(path, {**arrays, **more}, about, compressed=True)


def read(path: str | os.PathLike[str]) -> EffectiveReceptiveField:
    """What ``EffectiveReceptiveField.load`` does; a file of anybody's, so that nothing in it is believed."""
    check_name(path)
    try:
        return _restored(*read_archive(path))
    except BROKEN as error:
        raise ValueError(f"{os.fspath(path)}: not an effective receptive field saved by erfmath ({error})") from None


def _check_place(origin: tuple[int, ...], unit: Any, field: ReceptiveField | None,
                 image: tuple[int, ...] | None) -> None:
    """Refuse sites beyond counting, and what belongs to another image or to no unit of the node."""
    if any(abs(x) >= FAR for x in (*origin, *unit)):
        raise ValueError(f"origin={quoted(origin)}, unit={quoted(unit)}: sites must stay below {FAR}")
    if field is None:
        return
    if field.image != image:
        raise ValueError(f"trf: is of image={quoted(field.image)}, the map of image={quoted(image)}")
    if field.shape is not None and not all(0 <= u < n for u, n in zip(unit, field.shape)):
        raise ValueError(f"unit={quoted(unit)}: lies outside the node's map of {field.shape}")


def _restored(arrays: dict[str, Any], about: Any) -> EffectiveReceptiveField:
    kind, form = field_of(about, "kind", str), field_of(about, "density", str)
    choice(kind, "kind", tuple(KINDS))
    choice(form, "density", tuple(Density.KINDS))
    origin = tuple(integer(x, "origin") for x in field_of(about, "origin", list))
    ndim = len(origin)
    if ndim not in DIMENSIONS:
        raise ValueError(f"origin={quoted(origin)}: must have 1 to 3 values")
    statistic = field_of(about, "statistic", str)
    density = Density.KINDS[form].restored(arrays, origin, about, signed=statistic == "mean")
    trf, image, center, unit = (field_of(about, name) for name in ("trf", "image", "center", "unit"))
    if unit != []:
        unit = point(field_of(about, "unit", list), "unit", ndim)
    field = None if trf is None else ReceptiveField.from_dict(field_of(about, "trf", dict))
    image = None if image is None else image_shape(field_of(about, "image", list), ndim)
    _check_place(origin, unit, field, image)
    if field is not None and field.ndim != ndim:
        raise ValueError(f"trf: has {field.ndim} axes, the map has {ndim}")
    if center is not None and len(field_of(about, "center", list)) != ndim:
        raise ValueError(f"center={quoted(center)}: must have {ndim} values")
    return KINDS[kind]._restored(
        density, arrays, field_of(about, "facts", dict), unit=tuple(unit), trf=field, statistic=statistic,
        method=field_of(about, "method", str),
        assumptions=from_stored(field_of(about, "assumptions", list)),
        image=image,
        center=None if center is None else tuple(real(x, "center") for x in center))
