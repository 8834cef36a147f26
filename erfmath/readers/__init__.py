"""Networks from where they live: PyTorch modules, ONNX files, Keras models.

Each reader turns what it reads into records of plain operations; one converter makes a network of them.
"""

from __future__ import annotations

__all__: list[str] = []
