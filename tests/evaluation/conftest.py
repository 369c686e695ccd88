"""An instance with traffic, in process: the one of releases."""

from __future__ import annotations

from tests.release.conftest import rig

__all__ = ["rig"]
