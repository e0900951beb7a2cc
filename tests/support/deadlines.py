"""How long tests wait until they call something missing: all of them, in one place.

A test that passes does not wait this long. A deadline only ends what hangs, so each holds on a machine a
twentieth as fast, such as a busy one. No test asserts that something was quick.
"""

from __future__ import annotations

import pytest

HOLDS_SECONDS = 300.0
"""Until a condition holds, an answer is there, or a process has ended that was told to."""

COMMAND_SECONDS = 600.0
"""For one command line, from its start to its end."""

WHOLE_RUN_SECONDS = 3_600.0
"""For a test of the whole system; pytest's own limit, `timeout` in pyproject.toml, is for all others."""

whole_run = pytest.mark.timeout(WHOLE_RUN_SECONDS)
