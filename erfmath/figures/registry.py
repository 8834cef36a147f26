"""Which figures there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

__all__ = ["Entry", "FIGURES", "recipe"]


@dataclass(frozen=True)
class Entry:
    """A line of the registry.

    Parameters
    ----------
    title : str
        What the figure shows, for ``--help`` and the printed table.
    files : mapping of str to str
        Data files that it reads: name of the option without dashes -> its help.
    where : str
        Module of this package, and after a dot the object in it that has the four functions; by default the
        module of the figure's name.

    Raises
    ------
    TypeError
        Without a title.

    See Also
    --------
    Options : What may be asked of any figure.
    Desk : Where one part is worked on.

    Examples
    --------
    >>> from erfmath.figures import FIGURES
    >>> FIGURES["clt"].title
    'the exact distribution beside Gaussian, Edgeworth and saddlepoint'
    """

    title: str
    files: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


_CIFAR10 = {"cifar10": "CIFAR-10: the unpacked folder, or an npz file with x_train, y_train, x_test, y_test"}
_CAMVID = {"camvid": "CamVid: a folder with train, trainannot, test and testannot, or an npz file with x_train, ..."}

#: Name on the command line, in the order in which they are made.
FIGURES: dict[str, Entry] = {
    "fig1": Entry("maps of 5 to 40 layers: all ones, random, random with ReLU"),
    "nonlinearity": Entry("ReLU, tanh and sigmoid at 20 layers"),
    "fig2": Entry("growth of the ERF and of its ratio to the TRF, 5 to 200 layers"),
    "subsampling": Entry("fifteen layers, three of them strided or dilated"),
    "clt": Entry("the exact distribution beside Gaussian, Edgeworth and saddlepoint"),
    "dropout": Entry("dropout does not change the shape"),
    "skip": Entry("residual networks are mixtures with an atom in the centre"),
    "architectures": Entry("seven known networks at initialisation on one scale, from theory"),
    "width": Entry("how measured maps approach the theory as the width grows"),
    "initialisation": Entry("more variance at the rim of the kernel: corners and soft rims"),
    "fig3_box": Entry("before and after training, on a task of known range", where="fig3.BOX"),
    "fig3_cifar": Entry("before and after training on CIFAR-10, with and without batch norm", _CIFAR10, "fig3.CIFAR"),
    "fig3_camvid": Entry("before and after training on CamVid, with and without batch norm", _CAMVID, "fig3.CAMVID"),
    "trained": Entry("trained networks explained by what their gates do, on two made-up tasks", where="gates"),
    "trained_cifar": Entry("hypotheses about gates while networks train on CIFAR-10", _CIFAR10, "explained.CIFAR"),
    "trained_camvid": Entry("hypotheses about gates while networks train on CamVid", _CAMVID, "explained.CAMVID"),
    "scatter": Entry("how single networks deviate from the mean ERF, from theory and sampled"),
    "section4": Entry("initialisations that widen the field, in training on the box task", where="section4.BOX"),
    "section4_cifar": Entry("initialisations that widen the field, in training on CIFAR-10", _CIFAR10,
                            "section4.CIFAR"),
    "remedies_trained": Entry("strides, dilation and skips after training on the box task", where="fig3.REMEDIES"),
}


def recipe(name: str) -> Any:
    """What makes a figure: a module, or an object of one, with parts, compute, draw and quotes."""
    module, _, inside = (FIGURES[name].where or name).partition(".")
    found = import_module(f"{__package__}.{module}")
    return getattr(found, inside) if inside else found
