"""The paper's Figure 3: before and after training, on CIFAR-10 and CamVid; and on a task without any data.

The box task asks at every pixel for the sign of the sum over a box of noise; `REMEDIES` widens its networks.
"""

from __future__ import annotations

from .trained import Followed
from .trained_panels import draw_overview, draw_runs

__all__ = ["BOX", "CAMVID", "CIFAR", "REMEDIES"]

_QUICK = {"steps": 20, "layers": 4, "size": 15, "radius": 3}

BOX = Followed({"box task": {"task": "box"}}, seeds=(4, 2), quick=_QUICK, draw_data=draw_runs,
               words="{layers} convolutions 3×3, ReLU; at every pixel: is the sum over {box}×{box} pixels of noise "
                     "positive?")
#: Of the paper: digitised from the published pictures, after over before of the std, and of the half-maximum width.
CIFAR = Followed({"with batch norm": {"task": "cifar"}, "without batch norm": {"task": "cifar-plain"}}, seeds=(2, 1),
                 quick={"steps": 2, "batch": 8}, file="cifar10", draw_data=draw_runs,
                 paper={"std": 0.21 / 0.142, "half_max": 0.37 / 0.28},
                 words="CIFAR-10, pre-activation ResNet, 17 units of one 3×3 convolution, TRF 73 px, images of 32 px.")
CAMVID = Followed({"with batch norm": {"task": "camvid"}, "without batch norm": {"task": "camvid-plain"}},
                  seeds=(2, 1), quick={"steps": 2, "batch": 8}, file="camvid", draw_data=draw_runs, reach=56,
                  paper={"std": 0.171 / 0.093, "half_max": 0.183 / 0.126},
                  words="CamVid at 120×160, pre-activation ResNet of stride 8, 15 units of one 3×3 convolution, "
                        "TRF 163 px.")
REMEDIES = Followed({group: {"task": "box", "variant": variant} for group, variant in (
    ("plain", "plain"), ("strided", "strided"), ("dilated", "dilated"), ("skips", "skip"))}, seeds=(4, 2),
    changes={"size": 32}, quick={**_QUICK, "size": 16}, draw_data=draw_overview,
    words="Box task, {layers} convolutions 3×3: stride 2 in the middle, dilation 2 in the middle third, or residual "
          "units.")
