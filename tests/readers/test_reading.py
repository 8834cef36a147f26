"""Models by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_reading import kernel, read
from onnx_writer import node

from erfmath.readers.reading import from_name


def test_models_by_name(tmp_path: Path) -> None:
    read(tmp_path, [node("Conv", ["x", "w"], ["out"], "stem")], {"w": kernel(4, 3, 3, 3)})
    assert from_name(str(tmp_path / "model.onnx"), init="he").net.names == ("stem",)
    for text, words in (("model.pt", "must be a file .onnx or .keras, or package.module:callable"),
                        ("package.module:thing", "image=None: must be the size of an image")):
        with pytest.raises(ValueError, match=words):
            from_name(text)
