"""Which figures there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["Entry", "FIGURES"]


@dataclass(frozen=True)
class Entry:
    """A line of the registry.

    Parameters
    ----------
    title : str
        What the figure shows, for ``--help`` and the printed table.
    files : mapping of str to str
        Data files that it reads: name of the option without dashes -> its help.

    Raises
    ------
    TypeError
        Without a title.

    Examples
    --------
    >>> from erfmath.figures import FIGURES
    >>> FIGURES["clt"].title
    'the exact law beside Gaussian, Edgeworth and saddlepoint'
    """

    title: str
    files: Mapping[str, str] = field(default_factory=dict)


#: Name on the command line, which is that of the module, in the order in which they are made.
FIGURES: dict[str, Entry] = {
    "fig1": Entry("maps of 5 to 40 layers: all ones, random, random with ReLU"),
    "nonlinearity": Entry("ReLU, tanh and sigmoid at 20 layers"),
    "fig2": Entry("growth of the effective field and shrinking of its share, 5 to 200 layers"),
    "subsampling": Entry("fifteen layers, three of them strided or dilated"),
    "clt": Entry("the exact law beside Gaussian, Edgeworth and saddlepoint"),
    "dropout": Entry("dropout leaves the shape alone"),
    "skip": Entry("residual networks are mixtures with an atom in the centre"),
    "architectures": Entry("seven known networks at initialisation on one scale, from theory"),
    "width": Entry("how measured maps approach the theory as the width grows"),
    "initialisation": Entry("more variance at the rim of the kernel: corners and soft rims"),
    "fig3": Entry("before and after training, on a task of known range"),
    "fig3_cifar": Entry("before and after training on CIFAR-10, with and without batch norm",
                        files={"cifar10": "CIFAR-10: an npz file with x_train, y_train, x_test, y_test"}),
    "fig3_camvid": Entry("before and after training on CamVid, with and without batch norm",
                         files={"camvid": "CamVid: an npz file with x_train, y_train, x_test, y_test"}),
    "section4": Entry("initialisations that widen the field, in training on the box task"),
    "section4_cifar": Entry("initialisations that widen the field, in training on CIFAR-10",
                            files={"cifar10": "CIFAR-10: an npz file with x_train, y_train, x_test, y_test"}),
    "remedies_trained": Entry("strides, dilation and skips after training on the box task"),
}


def module(name: str) -> Any:
    """The module of a figure."""
    return import_module(f"{__package__}.{name}")
