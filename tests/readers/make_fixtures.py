"""Record models of torchvision and timm for the tests of the readers.

    python tests/readers/make_fixtures.py [torchvision:resnet18 timm:ghostnet_100 ...]

Needs torch, torchvision and timm; the files say with which versions they were made.  Beside the records a file holds
windows of a few units as automatic differentiation finds them: through the exported program itself, with all weights
positive, norms and functions left out, averages in the place of maxima and sums in that of products.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import recorded  # noqa: E402
import timm  # noqa: E402
import torch  # noqa: E402
import torchvision  # noqa: E402

from erfmath.bench.readers import traced, windows  # noqa: E402

TORCHVISION = ("alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0",
               "fcn_resnet50", "googlenet", "inception_v3", "lraspp_mobilenet_v3_large", "mnasnet0_5", "mobilenet_v2",
               "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5", "squeezenet1_1",
               "vgg11_bn")
TIMM = ("convnextv2_atto", "cspdarknet53", "darknet17", "dla34", "eca_resnet33ts", "edgenext_xx_small", "fasternet_t0",
        "gernet_s", "ghostnet_100", "hardcorenas_a", "hgnetv2_b0", "hrnet_w18_small", "mambaout_femto", "mixnet_s",
        "mobileone_s0", "nf_resnet26", "poolformer_s12", "repvgg_a0", "res2net50_26w_4s", "resnest14d", "resnet26t",
        "resnetblur18", "rexnet_100", "skresnet18", "starnet_s050", "tresnet_m", "vovnet39a", "xception41p")


def main(chosen: list[str]) -> None:
    versions = {lib.__name__: lib.__version__ for lib in (torch, torchvision, timm)}
    for name in chosen or [f"torchvision:{n}" for n in TORCHVISION] + [f"timm:{n}" for n in TIMM]:
        try:
            program, trace = traced(name)
            seen = [{"value": value, "unit": list(unit), "lo": np.argwhere(mask).min(0).tolist(),
                     "hi": np.argwhere(mask).max(0).tolist()} for value, unit, mask in windows(program, trace)]
        except Exception as error:  # say which, and go on
            print(name, type(error).__name__, str(error)[:200], flush=True)
            continue
        number = {record.name: str(i) for i, record in enumerate(trace.live(), 1)}
        for window in seen:
            window["value"] = number[window["value"]]
        path = recorded.write(name.replace(":", "_"), trace, windows=seen, gates=False, versions=versions)
        print(name, len(trace.records), path.stat().st_size, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
