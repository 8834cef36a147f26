"""Where a command's output goes: looked at before any work, written when the work is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ..base.files import check_target, write_atomically

__all__ = ["archive", "picture"]

DPI = 300


def picture(path: str | None) -> Callable[[Any], None]:
    """What writes a figure to `path`, whose name and place are good; nothing is written without a path."""
    if not path:
        return lambda figure: None
    check_target(path)
    kind = _format(path)
    how: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if kind == "png" else {}
    return lambda figure: write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=DPI, **how))


def archive(path: str | None) -> None:
    """Refuse a file of results that could not be written, or that would not be found again."""
    if not path:
        return
    check_target(path)
    if not path.endswith(".npz"):
        raise ValueError(f"{path}: the name of such a file must end in .npz")


def _format(path: str) -> str:
    """The format that the name of a picture asks for."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    kind = os.path.splitext(path)[1].removeprefix(".").lower()
    if kind not in known:
        raise ValueError(f"{path}: no picture format ends in {'.' + kind if kind else 'nothing'}; "
                         f"known are {', '.join('.' + name for name in sorted(known))}")
    return kind
