"""Exact integer convolution powers: the oracle, and the exact first steps of the float methods."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any

from ..base.checks import integer
from ..base.errors import check_bytes, quoted

__all__ = ["as_integers", "multiply", "path_counts", "power"]


def power(taps: Sequence[int], weights: Sequence[int], n: int) -> list[int]:
    """Coefficients of (sum_j weights[j] z**taps[j])**n, `taps` increasing from 0.

    From P Q' = n P' Q for Q = P**n (equation W5), one coefficient after the other:
    w_0 i q_i = sum_j ((n + 1) t_j - i) w_j q_{i - t_j}. Every division is exact.
    """
    if n == 0:
        return [1]
    size = taps[-1] * n + 1
    first, rest = weights[0], list(zip(taps[1:], weights[1:]))
    coefficients = [first**n]
    for i in range(1, size):
        total = 0
        for tap, weight in rest:
            if tap > i:
                break
            total += ((n + 1) * tap - i) * weight * coefficients[i - tap]
        coefficients.append(total // (i * first))
    return coefficients


def multiply(a: Sequence[int], b: Sequence[int], stretch: int = 1) -> list[int]:
    """Coefficients of A(z) B(z**stretch), by one product of long integers.

    Both polynomials are evaluated at a power of two so large that the coefficients of the
    product do not overlap (Kronecker substitution); a bias keeps negative ones apart.
    """
    size = len(a) + stretch * (len(b) - 1)
    bits = (max(map(abs, a)).bit_length() + max(map(abs, b)).bit_length() + min(len(a), len(b)).bit_length() + 2)
    width = bits // 8 + 1

    def packed(values: Sequence[int], step: int) -> int:
        half = 1 << (8 * width - 1)
        slot = bytes((step - 1) * width)
        biased = slot.join((v + half).to_bytes(width, "little") for v in values)
        offset = slot.join([half.to_bytes(width, "little")] * len(values))
        return int.from_bytes(biased, "little") - int.from_bytes(offset, "little")

    half = (1 << (8 * width - 1)).to_bytes(width, "little")
    product = packed(a, 1) * packed(b, stretch) + int.from_bytes(half * size, "little")
    raw = product.to_bytes(width * size + 1, "little")
    centre = 1 << (8 * width - 1)
    return [int.from_bytes(raw[i * width:(i + 1) * width], "little") - centre for i in range(size)]


def as_integers(weights: Sequence[Any]) -> tuple[list[int], Fraction]:
    """Coprime integers and the unit such that weight = integer * unit, exactly."""
    if all(isinstance(w, int) for w in weights):
        common = gcd(*weights)
        return [w // common for w in weights], Fraction(common)
    exact = [Fraction(w) for w in weights]
    denominator = lcm(*(w.denominator for w in exact))
    integers = [w.numerator * (denominator // w.denominator) for w in exact]
    common = gcd(*integers)
    return [i // common for i in integers], Fraction(common, denominator)


def path_counts(k: int, n: int) -> list[int]:
    """Number of paths from the unit through n layers of k taps to each input site, exactly.

    The coefficients of (1 + z + ... + z**(k-1))**n: binomial for k = 2, polynomial coefficients
    beyond (equation W5). The input site of element x is x, offsets as in the paper.

    Parameters
    ----------
    k : int
        Taps per layer, at least 1.
    n : int
        Number of layers, at least 0.

    Returns
    -------
    list of int, length n (k - 1) + 1
        One count per input pixel; they sum to k**n.

    Raises
    ------
    ValueError
        Unless both are integers, k at least 1 and n at least 0.

    See Also
    --------
    walk : Distribution of S = sum_l J_l X_l.

    Examples
    --------
    >>> import erfmath as em
    >>> em.path_counts(3, 2)
    [1, 2, 3, 2, 1]
    >>> sum(em.path_counts(3, 200)) == 3**200
    True
    """
    k, n = integer(k, "k", 1), integer(n, "n", 0)
    size = (k - 1) * n + 1
    digits = min(size, n * k.bit_length()) // 8 + 32
    check_bytes(size * digits, f"{quoted(size)} path counts", "take fewer layers")
    return power(range(k), [1] * k, n)
