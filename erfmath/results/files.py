"""Results as files: npz archives of arrays, and of one JSON text that says what they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base.files import BROKEN, read_archive, write_archive
from ..networks.trf import ReceptiveField
from .assumptions import Assumption
from .density import Density
from .kinds import KINDS

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField

__all__ = ["read", "write"]


def write(erf: EffectiveReceptiveField, path: str | os.PathLike[str]) -> None:
    """What ``EffectiveReceptiveField.save`` does."""
    density, arrays = erf.density.stored()
    kind, more, facts = erf.extras()
    about = {"kind": kind, "density": density.kind, "origin": density.origin, "log_total": density.log_total,
             "unit": erf.unit, "image": erf.image, "statistic": erf.statistic, "method": erf.method,
             "assumptions": [a.name for a in erf.assumptions], "center": erf._center,
             "trf": None if erf._trf is None else erf._trf.to_dict(), "facts": facts}
    write_archive(path, {**arrays, **more}, about, compressed=True)


def read(path: str | os.PathLike[str]) -> EffectiveReceptiveField:
    """What ``EffectiveReceptiveField.load`` does."""
    try:
        arrays, about = read_archive(path)
        trf, image, center = about["trf"], about["image"], about["center"]
        density = Density.KINDS[about["density"]].restored(arrays, tuple(about["origin"]), about["log_total"])
        return KINDS[about["kind"]].restored(
            density, arrays, about["facts"], unit=tuple(about["unit"]),
            trf=None if trf is None else ReceptiveField.from_dict(trf), statistic=about["statistic"],
            method=about["method"], assumptions=[Assumption[name] for name in about["assumptions"]],
            image=None if image is None else tuple(image), center=center)
    except BROKEN as error:
        raise ValueError(f"{path}: not an effective receptive field saved by erfmath ({error})") from None
