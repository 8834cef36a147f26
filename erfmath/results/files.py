"""Results as files: npz archives of arrays, and of one JSON text that says what they are."""

from __future__ import annotations

import os
from typing import Any

from ..base.files import BROKEN, read_archive, write_archive
from ..networks.trf import ReceptiveField
from .assumptions import Assumption
from .field import EffectiveReceptiveField

__all__ = ["read", "write"]


def write(erf: EffectiveReceptiveField, path: str | os.PathLike[str]) -> None:
    """What ``EffectiveReceptiveField.save`` does."""
    lines = erf._lines
    arrays: dict[str, Any] = {"map": erf.map} if lines is None else {f"line{a}": line for a, line in enumerate(lines)}
    if erf.stderr is not None:
        arrays["stderr"] = erf.stderr
    draws, measured = erf._draws()
    about = {"origin": erf.origin, "unit": erf.unit, "image": erf.image, "statistic": erf.statistic,
             "method": erf.method, "assumptions": [a.name for a in erf.assumptions], "log_total": erf._log_total,
             "center": erf._center, "trf": None if erf._trf is None else erf._trf.to_dict(), "measured": measured}
    write_archive(path, {**arrays, **draws}, about, compressed=True)


def read(path: str | os.PathLike[str]) -> EffectiveReceptiveField:
    """What ``EffectiveReceptiveField.load`` does."""
    try:
        data, about = read_archive(path)
        common: dict[str, Any] = {
            "origin": tuple(about["origin"]), "unit": tuple(about["unit"]),
            "trf": None if about["trf"] is None else ReceptiveField.from_dict(about["trf"]),
            "statistic": about["statistic"], "method": about["method"],
            "assumptions": [Assumption[name] for name in about["assumptions"]]}
        if "map" not in data:
            lines = [data[f"line{axis}"] for axis in range(len(data))]
            return EffectiveReceptiveField.separable(lines, about["log_total"], **common)
        common |= {"image": None if about["image"] is None else tuple(about["image"]), "center": about.get("center")}
        if about.get("measured") is not None:
            from .measured import MeasuredReceptiveField
            return MeasuredReceptiveField.restored(data, about["measured"], **common)
        return EffectiveReceptiveField(data["map"], stderr=data.get("stderr"), **common)
    except BROKEN as error:
        raise ValueError(f"{path}: not an effective receptive field saved by erfmath ({error})") from None
