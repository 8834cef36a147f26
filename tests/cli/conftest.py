"""The toy figure of the figures' own tests."""

from __future__ import annotations

from figure_data import toy

__all__ = ["toy"]
