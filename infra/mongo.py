"""MongoDB: the connection, reads, writes and transactions, with time limits; the one place for its driver."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

import bson
from bson.binary import UUID_SUBTYPE, Binary
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo import DeleteOne, IndexModel, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, ConfigurationError, DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from infra.observability.metrics.instruments import MongoMeasures
from infra.security.tls import present, restrict
from infra.security.tls_errors import explained
from infra.settings import Settings

SELECT_SECONDS = 3.0
"""How long a request waits for a server that can take it."""
CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 15.0
"""How long a request waits for its answer."""
POOL = 32
"""Connections of one process; a request beyond them waits up to SELECT_SECONDS for one."""
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

_DUPLICATE_KEY = 11000
_WRITE_CONFLICT = 112
_NO_SUCH_TRANSACTION = 251
_INTERNAL_ERROR = 1
_CONFLICTS = frozenset({_DUPLICATE_KEY, _WRITE_CONFLICT, _NO_SUCH_TRANSACTION})
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

Document = dict[str, Any]
Sort = Sequence[tuple[str, int]]
"""Fields with 1 (ascending) or -1 (descending)."""
Write = ReplaceOne[Any] | DeleteOne | UpdateOne


class MongoUnavailable(Exception):
    """MongoDB could not be reached, did not answer in time or refused; a write may have been done."""


class MongoBroken(MongoUnavailable):
    """MongoDB answers with errors of its own, as after a full disk, until it is restarted."""


class TransactionConflict(Exception):
    """Somebody else wrote the same documents at the same time; nothing of the transaction was done."""


class DocumentUnfit(ValueError):
    """A document that MongoDB cannot store."""


def encode_document(key: str, fields: Mapping[str, Any]) -> bytes:
    """The stored form of a document, fields in the order given; raises DocumentUnfit."""
    try:
        data = bson.encode({"_id": key, **fields})
    except (bson.errors.BSONError, OverflowError) as error:
        raise DocumentUnfit(f"document {key!r}: {error}") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentUnfit(f"document {key!r} has {len(data)} bytes, more than MongoDB takes")
    return data


def decode_document(data: bytes) -> Document:
    """A document's fields, of its stored form."""
    return bson.decode(data)


def replacing(key: str, data: bytes) -> Write:
    """Put a document, given in its stored form, in the place of the one there, if there is one."""
    return ReplaceOne({"_id": key}, RawBSONDocument(data), upsert=True)


def deleting(key: str) -> Write:
    """Delete a document, if it is there."""
    return DeleteOne({"_id": key})


def updating(wanted: Mapping[str, Any], fields: Mapping[str, Any]) -> Write:
    """Set fields of the document that is as wanted; see `Access.write` for how many there were."""
    return UpdateOne(wanted, {"$set": fields})


class Access:
    """Reads and writes, in a transaction or not; each may raise MongoUnavailable or TransactionConflict."""

    def __init__(
        self, database: AsyncIOMotorDatabase[Document], session: AsyncIOMotorClientSession | None = None
    ) -> None:
        self._database = database
        self._session = session

    async def find(
        self,
        collection: str,
        wanted: Mapping[str, Any],
        *,
        sort: Sort = (),
        limit: int = 0,
        without: Sequence[str] = (),
    ) -> list[Document]:
        """The documents that are as wanted; 0 means all of them."""
        with _translated("find"):
            cursor = self._database[collection].find(
                wanted, dict.fromkeys(without, 0) or None, session=self._session
            )
            if sort:
                cursor = cursor.sort(list(sort))
            return await cursor.limit(limit).to_list(None)

    async def find_stored(
        self, collection: str, wanted: Mapping[str, Any]
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Keys and stored forms of documents, by key, without holding them all."""
        with _translated("scan"):
            raw = self._database.get_collection(collection, codec_options=_RAW)
            async for document in raw.find(wanted, session=self._session).sort("_id", 1):
                yield document["_id"], document.raw

    async def aggregate(self, collection: str, pipeline: Sequence[Mapping[str, Any]]) -> list[Document]:
        """What an aggregation pipeline yields."""
        with _translated("aggregate"):
            return await self._database[collection].aggregate(pipeline, session=self._session).to_list(None)

    async def insert(self, collection: str, documents: Sequence[bytes]) -> None:
        """Insert documents, given in their stored form; several times as fast as replacing them."""
        if documents:
            with _translated("insert"):
                await self._database[collection].insert_many(
                    [RawBSONDocument(data) for data in documents], ordered=False, session=self._session
                )

    async def write(self, collection: str, writes: Sequence[Write]) -> int:
        """Carry out writes in no particular order; how many documents there were to write to."""
        if not writes:
            return 0
        with _translated("write"):
            result = await self._database[collection].bulk_write(writes, ordered=False, session=self._session)
            return result.matched_count


class Transaction(Access):
    """Reads one moment's state; its writes happen all or not at all, at the end of its `async with`."""

    def __init__(self, database: AsyncIOMotorDatabase[Document], session: AsyncIOMotorClientSession) -> None:
        super().__init__(database, session)
        self._in = session

    async def __aenter__(self) -> Self:
        self._in.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority", wtimeout=10_000)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _translated("commit"):
            if kind is None:
                await self._in.commit_transaction()
            else:
                # The first error is what counts; the session's next transaction ends this one in any case.
                with contextlib.suppress(PyMongoError):
                    await self._in.abort_transaction()


class Session:
    """Transactions one after the other, under an id by which somebody else can end the one under way.

    The server keeps the transaction of a client that was killed for a minute, and all it wrote to is blocked.
    """

    def __init__(self, database: AsyncIOMotorDatabase[Document], session: AsyncIOMotorClientSession) -> None:
        self._database = database
        self._session = session
        # A property, whatever motor's stubs say.
        known = cast("Mapping[str, Any]", session.session_id)
        self.id = bytes(known["id"])
        """What the server knows it by."""

    def transaction(self) -> Transaction:
        """A transaction, for `async with`."""
        return Transaction(self._database, self._session)

    async def close(self) -> None:
        """End it, with its transaction if one is under way."""
        with _translated("end_session"):
            await self._session.end_session()


class Mongo(Access):
    """One database of a MongoDB replica set; connects by itself, again and again."""

    def __init__(self, settings: Settings) -> None:
        """Raises MongoUnavailable if the address is none, SettingsInvalid if a password cannot be read."""
        password = settings.mongo_password
        given: dict[str, Any] = {} if password is None else {"password": password}
        if settings.tls_ca is not None and _speaks_tls(settings.mongo_url):
            given["tlsCAFile"] = str(settings.tls_ca)
        try:
            self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
                settings.mongo_url,
                **given,
                serverSelectionTimeoutMS=int(SELECT_SECONDS * 1000),
                connectTimeoutMS=int(CONNECT_SECONDS * 1000),
                socketTimeoutMS=int(ANSWER_SECONDS * 1000),
                waitQueueTimeoutMS=int(SELECT_SECONDS * 1000),
                maxPoolSize=POOL,
                w="majority",
                readConcernLevel="majority",
                appname="orderfold",
            )
        except (ConfigurationError, ValueError) as error:
            raise MongoUnavailable(f"ORDERFOLD_MONGO_URL is no MongoDB address: {error}") from error
        # The driver takes neither a least version nor a key apart from its certificate; it connects later.
        context = self._client.delegate.options.pool_options._ssl_context  # noqa: SLF001 - there is no other way
        if isinstance(context, ssl.SSLContext):
            restrict(context)
            present(context, settings.tls_certificate, settings.tls_key)
        super().__init__(self._client[settings.mongo_database])
        self.name = settings.mongo_database

    async def count(self, collection: str, *, exactly: bool = False) -> int:
        """How many documents there are: as the server keeps count of them, or `exactly`, by reading all."""
        with _translated("count"):
            if exactly:
                return await self._database[collection].count_documents({})
            return await self._database[collection].estimated_document_count()

    async def collections(self) -> list[str]:
        """The names of all there are."""
        with _translated("list_collections"):
            names = await self._database.list_collection_names()
        return sorted(name for name in names if not name.startswith("system."))

    async def check(self) -> None:
        """Return if the server answers and can do transactions; raises MongoUnavailable."""
        with _translated("hello"):
            hello = await self._client.admin.command("hello")
        if not hello.get("setName"):
            raise MongoUnavailable(
                "MongoDB is no replica set, so it has no transactions; "
                "start it with --replSet and run rs.initiate()"
            )

    async def server(self) -> str:
        """What answers, and its version: `MongoDB 8.0.4`, `SecantusDB 0.7.0`."""
        with _translated("buildInfo"):
            info = await self._client.admin.command("buildInfo")
        other = info.get("secantusVersion")
        return f"SecantusDB {other}" if other else f"MongoDB {info.get('version', 'of unknown version')}"

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A single transaction, for `async with`."""
        session = await self.open_session()
        try:
            async with session.transaction() as transaction:
                yield transaction
        finally:
            await session.close()

    async def open_session(self) -> Session:
        """A session for transactions."""
        with _translated("start_session"):
            return Session(self._database, await self._client.start_session())

    async def kill_sessions(self, ids: Sequence[bytes]) -> None:
        """End the transactions under way in these sessions."""
        if ids:
            listed = [{"id": Binary(key, UUID_SUBTYPE)} for key in ids]
            with _translated("kill_sessions"):
                await self._client.admin.command("killSessions", listed)

    async def ensure_indexes(self, collection: str, indexes: Sequence[Sort]) -> None:
        """Have a collection with these indexes."""
        if indexes:
            with _translated("create_indexes"):
                await self._database[collection].create_indexes([IndexModel(list(keys)) for keys in indexes])

    async def drop(self, collection: str) -> None:
        """Delete a collection."""
        with _translated("drop"):
            await self._database.drop_collection(collection)

    async def drop_database(self) -> None:
        """Delete the whole database."""
        with _translated("drop"):
            await self._client.drop_database(self._database.name)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _speaks_tls(url: str) -> bool:
    """Whether the address asks for TLS; the driver takes no file for it where it does not."""
    given = {name.lower(): value.lower() for name, value in parse_qsl(urlsplit(url).query)}
    asked = given.get("tls", given.get("ssl"))
    return asked == "true" or (asked is None and url.startswith("mongodb+srv:"))


@contextlib.contextmanager
def _translated(command: str) -> Iterator[None]:
    """Time a command, and turn the driver's errors into ours."""
    measures = MongoMeasures.of(command)
    begun = time.perf_counter()
    try:
        yield
    except BulkWriteError as error:
        codes = {item.get("code") for item in (error.details or {}).get("writeErrors", ())}
        if codes & _CONFLICTS:
            raise TransactionConflict(_said(error)) from error
        measures.failures.inc()
        raise MongoUnavailable(f"MongoDB refused a write: {_said(error)}") from error
    except PyMongoError as error:
        if isinstance(error, DuplicateKeyError) or getattr(error, "code", None) in _CONFLICTS:
            raise TransactionConflict(_said(error)) from error
        measures.failures.inc()
        if getattr(error, "code", None) == _INTERNAL_ERROR:
            raise MongoBroken(
                f"MongoDB: {_said(error)}: its log says why; if its disk is full make room, then restart it"
            ) from error
        raise MongoUnavailable(f"MongoDB: {_said(error)}") from error
    finally:
        measures.seconds.observe(time.perf_counter() - begun)


def _said(error: PyMongoError) -> str:
    """What went wrong. The driver goes on with the whole topology, or with the documents it was given."""
    return explained(re.split(r", Timeout:|,? full error:| dup key:", str(error))[0])
