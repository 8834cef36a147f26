"""Images like photographs: a power-law spectrum, a mean, and channels that vary together."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..base.checks import integer, real
from ..base.errors import quoted

__all__ = ["NaturalImages", "natural_images"]

#: Longest wavelength in pixels, by dimension: images of the usual sizes fit.
PERIODS = {1: 4096, 2: 256, 3: 64}


@dataclass(frozen=True)
class NaturalImages:
    """Gaussian images whose power spectrum is a power of the frequency; made by `natural_images`.

    Attributes
    ----------
    mean, std : float
        Of a pixel, over images.
    exponent : float
        Of the power spectrum, as 1 / frequency^exponent.
    channel_correlation : float
        Between any two channels of a pixel.
    period : int or None
        Longest wavelength in pixels, beyond which pixels have only the mean in common.
    """

    mean: float
    std: float
    exponent: float
    channel_correlation: float
    period: int | None = None

    @property
    def moments(self) -> tuple[float, float]:
        """E[x^2] of a pixel, and E[x x'] between distant pixels: `input_moments` of `predict`."""
        return self.mean**2 + self.std**2, self.mean**2

    def covariance(self, ndim: int = 2) -> npt.NDArray[np.float64]:
        """E[x(z) x(z + tau)] over lags of less than half a period, lag 0 in the middle.

        Parameters
        ----------
        ndim : int
            Number of axes.

        Returns
        -------
        ndarray, shape (lags,) * ndim
            What `predict` takes as ``input_covariance=``.
        """
        return _covariance(self, ndim)

    def sample(self, count: int, shape: Sequence[int], rng: np.random.Generator, channels: int = 3
               ) -> npt.NDArray[np.float64]:
        """Independent images.

        Parameters
        ----------
        count : int
            How many.
        shape : sequence of int
            Their size in pixels.
        rng : Generator
            Source of randomness.
        channels : int
            Channels of each image.

        Returns
        -------
        ndarray, shape ``(count, channels, *shape)``
            What `measure` takes as ``images=``.

        Raises
        ------
        ValueError
            If images are larger than the period.
        """
        ndim, period = len(shape), self._period(len(shape))
        if max(shape) > period:
            raise ValueError(f"images of {tuple(shape)} pixels: longer than the longest wavelength, {period}; give "
                             f"natural_images(period={2 * max(shape)})")
        axes = tuple(range(-ndim, 0))
        amplitudes = np.sqrt(self._spectrum(ndim) * period**ndim)
        mixing = np.linalg.cholesky(np.full((channels, channels), self.channel_correlation)
                                    + (1 - self.channel_correlation + 1e-12) * np.eye(channels))
        inside = (slice(None), *(slice(n) for n in shape))
        images = np.empty((count, channels, *shape))
        for image in images:
            white = np.fft.rfftn(rng.standard_normal((channels, *(period,) * ndim)), axes=axes)
            fields = np.fft.irfftn(white * amplitudes, s=(period,) * ndim, axes=axes)[inside]
            image[:] = self.mean + self.std * np.tensordot(mixing, fields, 1)
        return images

    def _period(self, ndim: int) -> int:
        return self.period or PERIODS[ndim]

    def _spectrum(self, ndim: int) -> npt.NDArray[np.float64]:
        """Part of the variance at each frequency of a period, of sum 1 over all; the constant has none."""
        period = self._period(ndim)
        lines = [np.fft.fftfreq(period)] * (ndim - 1) + [np.fft.rfftfreq(period)]
        square = sum(np.meshgrid(*(line**2 for line in lines), indexing="ij"))
        power = np.asarray(square)
        power.flat[0] = 1.0
        power = power**(-self.exponent / 2)
        power.flat[0] = 0.0
        twice = np.full(power.shape[-1], 2.0)  # those with a negative frequency along the last axis
        twice[[0, *([-1] if period % 2 == 0 else [])]] = 1.0
        return np.asarray(power / (power * twice).sum())


@functools.lru_cache(maxsize=8)
def _covariance(images: NaturalImages, ndim: int) -> npt.NDArray[np.float64]:
    period = images._period(ndim)
    axes, half = tuple(range(ndim)), (period - 1) // 2
    waves = np.fft.irfftn(images._spectrum(ndim), s=(period,) * ndim, axes=axes) * period**ndim
    lags = np.arange(-half, half + 1)
    waves = waves[np.ix_(*[lags] * ndim)]
    waves = (waves + waves[(slice(None, None, -1),) * ndim]) / 2  # the same for tau and -tau, to the last bit
    values = np.asarray(images.mean**2 + images.std**2 * waves / waves[(half,) * ndim])
    values.flags.writeable = False
    return values


def natural_images(*, mean: float = 0.45, std: float = 0.27, exponent: float = 2.0, channel_correlation: float = 0.9,
                   period: int | None = None) -> NaturalImages:
    """Describe inputs like photographs: what `predict` takes as `input_covariance` and `measure` as `images`.

    Pixels are Gaussian with the mean, the spread and the power-law spectrum of photographs (Field, 1987), in
    place of white noise.  By default they are as they come, between 0 and 1; ``mean=0, std=1`` is what is left
    where the mean of all images has been subtracted.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation of a pixel over all images.
    exponent : float
        The power spectrum is 1 / frequency^exponent: 2 for photographs, 0 for white noise.
    channel_correlation : float
        Correlation of any two channels of a pixel, 0 to 1.
    period : int, optional
        Longest wavelength in pixels (by default 256 for images, 4096 for lines, 64 for volumes); pixels of one
        image further apart have only the mean in common.

    Returns
    -------
    NaturalImages
        With `moments`, `covariance(ndim)` and `sample(count, shape, rng)`.

    Raises
    ------
    ValueError
        If a number is not finite, `std` not positive, the correlation not from 0 to 1, or the period below 4.

    See Also
    --------
    predict : Effective receptive field, from theory.
    measure : The same by Monte Carlo.

    Notes
    -----
    The theory takes expectations over weights of zero mean, to which the correlation of channels makes no
    difference: of the first convolution's outputs it changes how much variances differ from channel to channel.

    References
    ----------
    Field, Relations between the statistics of natural images and the response properties of cortical cells, 1987.

    Examples
    --------
    >>> import erfmath as em
    >>> net = em.serial(em.Conv(3, 16), em.Activation("relu"), em.MaxPool(3, 2, 1), em.Conv(3, 16))
    >>> images = em.natural_images()
    >>> theory = em.predict(net, image=16, input_covariance=images)
    >>> measured = em.measure(net, image=16, images=images, draws=50, rng=0)
    >>> bool((abs(theory.std - measured.std) < 4 * measured.std_stderr).all())
    True
    """
    mean, std, exponent = real(mean, "mean"), real(std, "std"), real(exponent, "exponent")
    correlation = real(channel_correlation, "channel_correlation")
    if std <= 0:
        raise ValueError(f"std={quoted(std)}: must be positive")
    if not 0 <= correlation <= 1:
        raise ValueError(f"channel_correlation={quoted(correlation)}: must be from 0 to 1")
    return NaturalImages(mean, std, exponent, correlation, None if period is None else integer(period, "period", 4))
