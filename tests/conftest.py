"""Set up every run: hypothesis profiles, and the account of what was skipped."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.skips", "tests.shown", "tests.recorded", "tests.bot.surfaces.matrix"]

# Deterministic on purpose: a red run must be red again. A slow machine is no failure, so there is no deadline.
_COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=50, **_COMMON)
settings.register_profile("ci", max_examples=200, print_blob=True, **_COMMON)
settings.register_profile("hunt", max_examples=5000, deadline=None)  # by hand: HYPOTHESIS_PROFILE=hunt, random
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "dev"))
