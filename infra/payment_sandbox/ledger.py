"""The provider's books: payments, the ledger's entries, the answers given and the webhooks to be sent."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import msgspec

from infra.payment_sandbox.messages import Answer, Balance, Books, Entry, Payment, Status, Sum

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    order_id TEXT PRIMARY KEY, reference TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL,
    payment_method TEXT NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL, due REAL,
    changed REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS undecided ON payments (due) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL,
    currency TEXT NOT NULL, refund_id TEXT NOT NULL, at REAL NOT NULL,
    -- No order is charged twice, and no refund paid twice, whatever the code believes.
    UNIQUE (order_id, kind, refund_id)
);
CREATE TABLE IF NOT EXISTS requests (
    key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, tries INTEGER NOT NULL, status INTEGER, body BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS webhooks (
    id TEXT PRIMARY KEY, body BLOB NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unsent ON webhooks (due);
"""

CHANGED = "ALTER TABLE payments ADD COLUMN changed REAL NOT NULL DEFAULT 0"
"""A ledger of an older version does not know when its payments changed."""

BY_CHANGE = "CREATE INDEX IF NOT EXISTS by_change ON payments (changed, order_id)"


class LedgerUnusable(Exception):
    """The ledger cannot be opened; the message names the file."""


class KeyReused(Exception):
    """The idempotency key belongs to another request."""


class DueWebhook(msgspec.Struct, frozen=True):
    """A webhook to be sent now."""

    id: str
    body: bytes
    attempts: int


class Changed(msgspec.Struct, frozen=True):
    """When a payment was changed last (seconds since 1970)."""

    at: float
    order_id: str


class Ledger:
    """One SQLite file with one writer. A call takes some 10 µs, so all are made on the event loop."""

    def __init__(self, file: Path) -> None:
        """Raises LedgerUnusable."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, isolation_level=None, timeout=0.5)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            # A commit survives the death of the process, though not of the machine.
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(SCHEMA)
            if "changed" not in [name for _, name, *_ in self._db.execute("PRAGMA table_info(payments)")]:
                self._db.execute(CHANGED)
            self._db.execute(BY_CHANGE)
        except (OSError, sqlite3.Error) as error:
            raise LedgerUnusable(f"the ledger {file} cannot be used: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it is written, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def begin_request(self, key: str, content: bytes) -> tuple[int, Answer | None]:
        """Which try of a request this is, and the final answer it has already had; raises KeyReused."""
        fingerprint = hashlib.blake2b(content, digest_size=16).digest()
        row = self._db.execute(
            "SELECT fingerprint, tries, status, body FROM requests WHERE key = ?", (key,)
        ).fetchone()
        if row is None:
            self._db.execute("INSERT INTO requests VALUES (?, ?, 1, NULL, NULL)", (key, fingerprint))
            return 1, None
        known, tries, status, body = row
        if known != fingerprint:
            raise KeyReused
        if status is not None:
            return tries, Answer(HTTPStatus(status), body)
        self._db.execute("UPDATE requests SET tries = tries + 1 WHERE key = ?", (key,))
        return tries + 1, None

    def end_request(self, key: str, answer: Answer) -> None:
        """Keep a final answer: whoever repeats the request gets it again."""
        self._db.execute(
            "UPDATE requests SET status = ?, body = ? WHERE key = ?", (answer.status, answer.body, key)
        )

    def payment(self, order_id: str) -> Payment | None:
        """An order's payment."""
        row = self._db.execute(
            "SELECT reference, order_id, amount, currency, payment_method, status, reason FROM payments "
            "WHERE order_id = ?",
            (order_id,),
        ).fetchone()
        if row is None:
            return None
        reference, order_id, amount, currency, method, status, reason = row
        return Payment(reference, order_id, amount, currency, method, Status(status), reason)

    def open(self, payment: Payment, due: float | None = None) -> None:
        """Begin the books of a payment; a pending one is decided when it is `due`."""
        self._db.execute(
            "INSERT INTO payments "
            "(reference, order_id, amount, currency, payment_method, status, reason, due, changed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*msgspec.structs.astuple(payment), due, time.time()),
        )
        if payment.status is not Status.PENDING:
            self.enter(payment, payment.status, payment.amount)

    def move(self, payment: Payment, status: Status) -> Payment:
        """Change where a payment is."""
        self._db.execute("UPDATE payments SET status = ? WHERE order_id = ?", (status, payment.order_id))
        self.enter(payment, status, payment.amount)
        return msgspec.structs.replace(payment, status=status)

    def enter(self, payment: Payment, kind: str, amount: int, refund_id: str = "") -> None:
        """Add a line to the ledger."""
        now = time.time()
        self._db.execute("UPDATE payments SET changed = ? WHERE order_id = ?", (now, payment.order_id))
        self._db.execute(
            "INSERT INTO entries (order_id, kind, amount, currency, refund_id, at) VALUES (?, ?, ?, ?, ?, ?)",
            (payment.order_id, kind, amount, payment.currency, refund_id, now),
        )

    def refunds(self, order_id: str) -> dict[str, int]:
        """What was given back of a payment."""
        rows = self._db.execute(
            "SELECT refund_id, amount FROM entries WHERE order_id = ? AND kind = 'refunded'", (order_id,)
        )
        return dict(rows.fetchall())

    def captured(self, order_id: str) -> int:
        """What was collected of a payment."""
        (amount,) = self._db.execute(
            "SELECT coalesce(sum(amount), 0) FROM entries WHERE order_id = ? AND kind = 'captured'",
            (order_id,),
        ).fetchone()
        return int(amount)

    def changed_since(self, since: float, after: tuple[float, str] | None, limit: int) -> list[Changed]:
        """Payments changed since a time, or after the one that stands at a place, in order of the change."""
        where = "changed >= ?" if after is None else "(changed, order_id) > (?, ?)"
        rows = self._db.execute(
            f"SELECT changed, order_id FROM payments WHERE {where} ORDER BY changed, order_id LIMIT ?",  # noqa: S608
            (*((since,) if after is None else after), limit),
        )
        return [Changed(*row) for row in rows]

    def pending(self, now: float, limit: int) -> list[str]:
        """The orders whose pending payments are due."""
        rows = self._db.execute(
            "SELECT order_id FROM payments WHERE status = 'pending' AND due <= ? ORDER BY due LIMIT ?",
            (now, limit),
        )
        return [order_id for (order_id,) in rows]

    def add_webhook(self, webhook_id: str, body: bytes, due: float) -> None:
        """Have a webhook sent."""
        self._db.execute("INSERT OR IGNORE INTO webhooks VALUES (?, ?, ?, 0)", (webhook_id, body, due))

    def webhooks(self, now: float, limit: int) -> list[DueWebhook]:
        """Webhooks to be sent now."""
        rows = self._db.execute(
            "SELECT id, body, attempts FROM webhooks WHERE due <= ? ORDER BY due LIMIT ?", (now, limit)
        )
        return [DueWebhook(*row) for row in rows]

    def postpone_webhook(self, webhook_id: str, due: float) -> None:
        """It was not received: send it again later."""
        self._db.execute(
            "UPDATE webhooks SET attempts = attempts + 1, due = ? WHERE id = ?", (due, webhook_id)
        )

    def end_webhook(self, webhook_id: str) -> None:
        """It was received, or given up."""
        self._db.execute("DELETE FROM webhooks WHERE id = ?", (webhook_id,))

    def next_decision(self) -> float | None:
        """When a pending payment must be decided next."""
        return self._first("SELECT min(due) FROM payments WHERE status = 'pending'")

    def next_webhook(self) -> float | None:
        """When a webhook must be sent next."""
        return self._first("SELECT min(due) FROM webhooks")

    def _first(self, query: str) -> float | None:
        (due,) = self._db.execute(query).fetchone()
        return None if due is None else float(due)

    def books(self, *, details: bool) -> Books:
        """The ledger's sums; with details also every payment and every entry."""
        sums = self._db.execute(
            "SELECT kind, currency, count(*), sum(amount) FROM entries GROUP BY kind, currency ORDER BY 1, 2"
        )
        return Books(
            [Sum(*row) for row in sums],
            self._balances() if details else [],
            self._entries() if details else [],
        )

    def _balances(self) -> list[Balance]:
        rows = self._db.execute(
            "SELECT payments.order_id, status, payments.currency, "
            "coalesce(sum(entries.amount) FILTER (WHERE kind = 'authorized'), 0), "
            "coalesce(sum(entries.amount) FILTER (WHERE kind = 'captured'), 0), "
            "coalesce(sum(entries.amount) FILTER (WHERE kind = 'refunded'), 0) "
            "FROM payments LEFT JOIN entries USING (order_id) GROUP BY payments.order_id"
        )
        return [Balance(order_id, Status(status), *rest) for order_id, status, *rest in rows]

    def _entries(self) -> list[Entry]:
        rows = self._db.execute(
            "SELECT id, order_id, kind, amount, currency, refund_id, at FROM entries ORDER BY id"
        )
        return [Entry(*row) for row in rows]
