"""What a stack has said: every line of every process's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

OURS = ("contexts", "gateway", "provider", "read-models")
"""Processes of the embedded stack that are our own."""


class Told:
    """The logs of a stack's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self) -> str:
        """Everything any process of the stack has said, the servers' own logs included."""
        files = [file for file in self._folder.rglob("*.log") if file.is_file()]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def raw(self) -> list[str]:
        """The lines of our own processes."""
        logs = [self._folder / "logs" / f"{name}.log" for name in OURS]
        return [line for log in logs for line in log.read_text().splitlines()]

    def lines(self, **wanted: Any) -> list[dict[str, Any]]:
        """The lines of our own processes whose fields are as wanted, the earliest first."""
        found = [json.loads(line) for line in self.raw()]
        fitting = [line for line in found if wanted.items() <= line.items()]
        return sorted(fitting, key=lambda line: str(line["time"]))
