"""`orderfold verify`: the stores against the streams, and against the read models folded anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from nats.aio.client import Client
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contexts.customers.key_health import REQUEST as KEYS
from contexts.customers.key_health import key_health
from contexts.payments.books import REQUEST as BOOKS
from contexts.payments.books import BooksClosed, all_payments, one_payment
from gateway.cli.connection import running_settings
from gateway.cli.errors import CommandFailed, Differs
from gateway.cli.progress import steps
from infra.event_log.server import ContextUnavailable, LogClient
from infra.mongo import Mongo, MongoUnavailable, TransactionConflict
from infra.nats.connection import NatsUnavailable, connect
from infra.settings import Settings
from read_models.monitoring.payment_audit import CheckedPayments, PaymentAudit
from read_models.monitoring.verification import Difference, Report, Verification
from read_models.projection.documents import ReadModels

MOST_SHOWN = 50

ASKS = (("customers", KEYS), ("payments", BOOKS))
"""The questions it puts to contexts beside those about their logs; the operator may put no others."""

REMEDY = "the order's history says what was asked: put it right at the provider, or settle the order"


def verify(data: Path | None, wait: float, *, as_json: bool, out: Console, err: Console) -> None:
    """Verify and print what was found; raises Differs, or CommandFailed if it cannot be told."""
    settings = running_settings(data)
    try:
        report = asyncio.run(run(settings, wait, err))
    except (NatsUnavailable, MongoUnavailable, ContextUnavailable, TransactionConflict) as error:
        raise CommandFailed(f"{error}; is the stack running?") from None
    if as_json:
        found = {"clean": report.clean, **msgspec.to_builtins(report)}
        out.print_json(data=found)
    else:
        show(report, out)
    if not report.clean:
        raise Differs


async def run(settings: Settings, wait: float, console: Console) -> Report:
    """Verify the running stack."""
    nats = await connect(settings, "operator-verify")
    mongo = Mongo(settings)
    try:
        models = ReadModels(mongo)
        with steps(console, "partitions") as shown:
            report = await Verification(nats, LogClient(nats), models).run(wait, shown.at)
        await compare_payments(nats, models, report, wait)
        await check_customer_keys(nats, report)
        return report
    finally:
        mongo.close()
        await nats.close()


async def compare_payments(nats: Client, models: ReadModels, report: Report, wait: float) -> None:
    """Compare the provider's books with the orders; where they cannot be read, the report says so."""
    audit = PaymentAudit(models, lambda: all_payments(nats), lambda order_id: one_payment(nats, order_id))
    report.payments = audit.checked
    spoilt = {difference.key for difference in report.differences if difference.subject == "orders"}
    try:
        differences = await audit.run(wait, spoilt)
    except BooksClosed as closed:
        report.payments.problem = str(closed)
        return
    for order_id, what in differences:
        report.add(Difference("payments", what, order_id, REMEDY))


async def check_customer_keys(nats: Client, report: Report) -> None:
    """Customers whose data nobody can open are a difference, though every document is what its events say."""
    problem = (await key_health(nats)).problem
    if problem:
        report.add(Difference("customers' keys", problem, remedy="`orderfold doctor` says what to do"))


def compared(payments: CheckedPayments) -> str:
    """Whether the provider's books were compared, and with what outcome."""
    if not payments.compared:
        return f"payment provider: NOT compared: {payments.problem}"
    return (
        f"payment provider: {payments.provider:,} payments compared with {payments.orders:,} orders, "
        f"{payments.differences:,} differences"
    )


def show(report: Report, console: Console) -> None:
    """Print it for people."""
    contexts = Table("context", "store head", "events", "stream ends at", "messages", title="Streams")
    for checked in report.contexts:
        contexts.add_row(
            checked.context,
            f"{checked.head:,}",
            f"{checked.events:,}",
            f"{checked.stream_position:,}",
            f"{checked.stream_messages:,}",
        )
    models = Table("read model", "documents", "events folded", "differences", "dead letters", title="Models")
    for model in report.models:
        models.add_row(
            model.model,
            f"{model.documents:,}",
            f"{model.events:,}",
            f"{model.differences:,}",
            f"{model.dead_letters:,}",
        )
    for table in (contexts, models):
        for column in table.columns[1:]:
            column.justify = "right"
        console.print(table)
    console.print(compared(report.payments))
    if report.stuck:
        stuck = Table("order", "problem", title="Stuck fulfilments")
        for item in report.stuck[:MOST_SHOWN]:
            stuck.add_row(item.order_id, item.problem)
        console.print(stuck)
    if report.clean:
        also = ", and payments what the provider says" if report.payments.compared else ""
        console.print(f"clean: streams and read models are what the stores say{also}")
        return
    differences = Table("where", "key", "what, and the command that mends it")
    differences.title = f"Differences: {report.difference_count:,}"
    for column in differences.columns:
        column.overflow = "fold"
    for difference in report.differences[:MOST_SHOWN]:
        remedy = f"\n-> {difference.remedy}" if difference.remedy else ""
        differences.add_row(
            Text(difference.subject), Text(difference.key), Text(f"{difference.what}{remedy}")
        )
    console.print(differences)
