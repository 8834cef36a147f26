"""What a side of the package knows of each kind of layer: one object a kind, entered by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .base import Layer

__all__ = ["Registry"]

Entry = TypeVar("Entry")
Made = TypeVar("Made")


class Registry(dict[str, Entry]):
    """One object for each kind of layer, by the name that the kind has in JSON.

    Parameters
    ----------
    missing : str
        What is said of a layer whose kind has none, after its name.
    """

    def __init__(self, missing: str) -> None:
        super().__init__()
        self.missing = missing

    def enter(self, *kinds: type[Layer]) -> Callable[[type[Made]], type[Made]]:
        """Decorate a class: an object of it for each of these kinds."""
        def entered(cls: type[Made]) -> type[Made]:
            self.update({kind.op: cls() for kind in kinds})  # type: ignore[misc]
            return cls
        return entered

    def of(self, layer: Layer) -> Entry:
        """The entry of a layer.

        Raises
        ------
        NotImplementedError
            If its kind has none.
        """
        try:
            return self[layer.op]
        except KeyError:
            raise NotImplementedError(f"{layer.op}: {self.missing}") from None
