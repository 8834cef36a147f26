"""Make references.json: values of w**10000 at sampled sites, from exact integers.

The coefficients of P**n follow from P Q' = n P' Q one after the other; in integers every division
is exact, so the recurrence, which is unstable in floats, loses nothing. Takes a few minutes.
"""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path

CASES = {
    "seven": [3, 1, 4, 1, 5, 9, 2],
    "thirtyone": [2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5, 2, 3, 5, 3, 6, 0, 2, 8, 7, 4, 7,
                  1, 3, 5, 2],
}
N = 10_000
BITS = 80


def sampled(weights: list[int], n: int, sites: set[int]) -> dict[int, int]:
    """Coefficients of (sum w_m z**m)**n at `sites`."""
    recent = deque([weights[0] ** n], maxlen=len(weights) - 1)  # newest first
    found = {0: recent[0]} if 0 in sites else {}
    for i in range(1, max(sites) + 1):
        total = sum(((n + 1) * m - i) * weights[m] * q for m, q in enumerate(recent, 1))
        value, rest = divmod(total, i * weights[0])
        assert not rest
        recent.appendleft(value)
        if i in sites:
            found[i] = value
    return found


def rounded(value: int, total: int) -> tuple[str, int]:
    """value / total as (mantissa in hex, power of two), to 80 bits."""
    shift = total.bit_length() - value.bit_length() + BITS
    return hex((value << shift) // total), -shift


def main() -> None:
    out = {}
    for name, weights in CASES.items():
        last = N * (len(weights) - 1)
        sites = sorted({0, 1, 2, 3, 5, 10, 30, 100, *range(0, last + 1, last // 24)})
        mirror = {last - s: v for s, v in sampled(weights[::-1], N,
                                                  {last - s for s in sites if 2 * s > last}).items()}
        found = {**sampled(weights, N, {s for s in sites if 2 * s <= last}), **mirror}
        total = sum(weights) ** N
        out[name] = {"weights": weights, "n": N, "sites": sites,
                     "values": [rounded(found[s], total) for s in sites]}
    path = Path(__file__).with_name("references.json")
    path.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
