"""Everything that training takes: data, losses, optimisers, schedules, augmentation.

Examples
--------
>>> import erfmath as em
>>> net = em.serial(em.Conv(3, 4), em.Activation("relu"), em.Conv(3, 1))
>>> done = em.fit(net, em.training.BoxMajority(9, 1), steps=3, batch=4, rng=0,
...               loss=em.training.BinaryCrossEntropy(), optimiser=em.training.Adam(2e-3))
>>> sorted(done.weights)
['conv1', 'conv1.bias', 'conv2', 'conv2.bias']
"""

from __future__ import annotations

from .augmentation import CropFlip
from .data import BoxMajority, Images, majority
from .fitting import Training, fit
from .losses import BinaryCrossEntropy, CrossEntropy
from .model import Evaluation, evaluate, recalibrate
from .optimisers import SGD, Adam, Cosine, Piecewise
from .readers import read_cifar10, read_npz, read_png_pairs

__all__ = ["Adam", "BinaryCrossEntropy", "BoxMajority", "Cosine", "CropFlip", "CrossEntropy", "Evaluation",
           "Images", "Piecewise", "SGD", "Training", "evaluate", "fit", "majority", "read_cifar10", "read_npz",
           "read_png_pairs", "recalibrate"]
__dir__ = __all__.copy  # tab completion offers public names only
