"""`orderfold doctor`: run every check, print what was seen, and the fix of what is not right."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from msgspec.inspect import LiteralType, Metadata, StructType, Type, type_info
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.connection import settings_of
from gateway.cli.doctor.documents import check_documents, check_inboxes
from gateway.cli.doctor.finding import Checked
from gateway.cli.doctor.machine import check_machine
from gateway.cli.doctor.processes import check_processes
from gateway.cli.doctor.servers import check_servers
from gateway.cli.doctor.stores import check_customer_keys, check_stores
from gateway.cli.errors import Differs
from infra.settings import PREFIX, Settings

PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]*@")


def doctor(data: Path | None, *, settings: bool, out: Console) -> None:
    """Check everything, or list the settings; raises Differs if there is a finding."""
    found = settings_of(data)
    if settings:
        out.print(settings_table(found))
        return
    checks = [*asyncio.run(check(found)), check_customer_keys(found)]
    out.print(checks_table(checks))
    findings = [checked for checked in checks if not checked.good]
    for number, finding in enumerate(findings, 1):
        out.print(f"{number}. {finding.what}: {finding.fix}", highlight=False, markup=False, soft_wrap=True)
    if findings:
        raise Differs
    out.print("nothing to fix")


async def check(settings: Settings) -> list[Checked]:
    """Every check there is."""
    servers, *others = await asyncio.gather(
        check_servers(settings),
        check_stores(settings),
        check_processes(settings),
        check_documents(settings),
        check_inboxes(settings),
    )
    stores, processes, documents, inboxes = others
    return [*check_machine(settings), *stores, *servers, *processes, *documents, *inboxes]


def checks_table(checks: list[Checked]) -> Table:
    """What was looked at."""
    table = Table("", "what", "seen")
    for column in table.columns:
        column.overflow = "fold"
    for checked in checks:
        table.add_row("ok" if checked.good else "FIX", escape(checked.what), escape(checked.seen))
    return table


def settings_table(settings: Settings) -> Table:
    """Every setting: its variable, what it is for, its default, and what it is now."""
    table = Table("variable", "meaning", "default", "now")
    table.columns[0].no_wrap = True
    for column in table.columns:
        column.overflow = "fold"
    described = type_info(Settings)
    assert isinstance(described, StructType)
    for field in described.fields:
        default = "" if field.default is None else str(field.default)
        now = getattr(settings, field.name)
        table.add_row(
            PREFIX + field.name.upper(),
            escape(meaning(field.type)),
            escape(default),
            escape("" if now is None else without_password(str(now))),
        )
    return table


def meaning(kind: Type) -> str:
    """What a setting is for; for a choice, what may be chosen."""
    if isinstance(kind, Metadata):
        return str((kind.extra_json_schema or {}).get("description", ""))
    return f"one of {', '.join(map(str, kind.values))}" if isinstance(kind, LiteralType) else ""


def without_password(value: str) -> str:
    """An address as it may be shown."""
    return PASSWORD.sub(r"\1:***@", value)
