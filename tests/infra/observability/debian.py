"""Prometheus and Alertmanager as Debian packages them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.deadlines import COMMAND_SECONDS

PROGRAMS = ("promtool", "prometheus", "prometheus-alertmanager", "amtool")
missing = [name for name in PROGRAMS if shutil.which(name) is None]

needs_prometheus = [
    pytest.mark.prometheus,
    pytest.mark.skipif(
        bool(missing),
        reason=f"{', '.join(missing)} not installed: apt-get install prometheus prometheus-alertmanager",
    ),
]

CONFIGURATION = Path(__file__).parents[3] / "infra" / "deploy" / "observability"


def run(*command: str | Path, given: bytes = b"") -> str:
    """What a program says; it must succeed."""
    done = subprocess.run(
        list(map(str, command)), input=given, capture_output=True, timeout=COMMAND_SECONDS, check=False
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said
