"""The same system without any instrumentation for traces: what «tracing is off» is compared with."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("contexts", "gateway", "infra", "read_models")


OFF = ast.parse("tracing.OFF", mode="eval").body


class Without(ast.NodeTransformer):
    """Takes out what is done with spans: the blocks in them stay, calls beside them go."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        """`with tracing.sending(…) as span: BLOCK` → `span = tracing.OFF; BLOCK`."""
        self.generic_visit(node)
        spans = [item for item in node.items if is_tracing(item.context_expr)]
        if not spans:
            return node
        self.taken += len(spans)
        names = [ast.Assign([item.optional_vars], OFF) for item in spans if item.optional_vars is not None]
        others = [item for item in node.items if item not in spans]
        body: list[ast.stmt] = [ast.With(others, node.body)] if others else node.body
        return [*names, *body]

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """`self.span = tracing.current_span()` → `self.span = tracing.OFF`."""
        if is_tracing(node.value):
            self.taken += 1
            node.value = OFF
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """`tracing.answered(…)` → nothing."""
        if not is_tracing(node.value):
            return node
        self.taken += 1
        return None


def is_tracing(node: ast.expr) -> bool:
    """Whether it is a call of `tracing.…`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "tracing"
        and node.func.attr != "exporting"
    )


def write_untraced(folder: Path) -> int:
    """Write the packages without instrumentation into a folder; returns how many places had some."""
    taken = 0
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (folder / package).rglob("*.py"):
            if file.is_relative_to(folder / "infra" / "observability" / "tracing"):
                continue
            text = file.read_text()
            if "tracing" in text:
                without = Without()
                tree = ast.fix_missing_locations(without.visit(ast.parse(text)))
                taken += without.taken
                file.write_text(ast.unparse(tree))
    return taken
