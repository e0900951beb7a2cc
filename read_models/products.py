"""What do we sell? One document per product: name, price, whether it is sold, and how many are available."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, assert_never

import msgspec

from contexts.catalog.events import (
    CatalogEvent,
    ProductAdded,
    ProductDiscontinued,
    ProductReinstated,
    ProductRenamed,
    ProductRepriced,
)
from read_models.projection.documents import Page, ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, latest
from read_models.stock import StockEvent, changes

_WORD = re.compile(r"\w+")
_LEADING = re.compile(r"^\W+")


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """`status`: active, discontinued; `unit_price` in minor units; `version` of the product's stream.

    `words` is what a search may begin with: the SKU and the words of the name, as `folded` has them.
    """

    sku: str
    name: str | None = None
    unit_price: int | None = None
    currency: str | None = None
    status: str | None = None
    available: int = 0
    updated_at: str | None = None
    version: int = 0
    words: tuple[str, ...] = ()


def project(document: Product | None, occurrence: Occurrence) -> Product:
    """The product after one more event of catalog or inventory."""
    product = document or Product(sku=occurrence.key)
    event: CatalogEvent | StockEvent = occurrence.event
    match event:
        case (
            ProductAdded()
            | ProductRenamed()
            | ProductRepriced()
            | ProductDiscontinued()
            | ProductReinstated()
        ):
            changed = msgspec.structs.replace(_product(product, event), version=occurrence.version)
        case _:
            on_hand, reserved = changes(event)
            changed = msgspec.structs.replace(product, available=product.available + on_hand - reserved)
    return msgspec.structs.replace(changed, updated_at=latest(product.updated_at, occurrence.time))


def _product(product: Product, event: CatalogEvent) -> Product:
    match event:
        case ProductAdded():
            return msgspec.structs.replace(
                product,
                name=event.name,
                unit_price=event.unit_price,
                currency=event.currency,
                status="active",
                words=words_of(product.sku, event.name),
            )
        case ProductRenamed():
            return msgspec.structs.replace(product, name=event.name, words=words_of(product.sku, event.name))
        case ProductRepriced():
            return msgspec.structs.replace(product, unit_price=event.unit_price)
        case ProductDiscontinued():
            return msgspec.structs.replace(product, status="discontinued")
        case ProductReinstated():
            return msgspec.structs.replace(product, status="active")
        case _:
            assert_never(event)


def words_of(*texts: str) -> tuple[str, ...]:
    """The different words of texts, folded, sorted: `t-light` is one, and so are `t` and `light`."""
    found: set[str] = set()
    for text in texts:
        plain = folded(text)
        found.update(_WORD.findall(plain))
        found.update(_bare(part) for part in plain.split())
    return tuple(sorted(found))


def folded(text: str) -> str:
    """A text as it is searched for: however it is composed and in whatever case, without what is not seen.

    Unicode's NFKC_Casefold (The Unicode Standard, section 3.13).
    """
    cased = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    seen = "".join(character for character in cased if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", seen.casefold())


def _bare(part: str) -> str:
    """Without what opens a bracket or a quotation."""
    return _LEADING.sub("", part) or part


PRODUCTS = ReadModel(
    name="products",
    sources=(Source("catalog", CatalogEvent), Source("inventory", StockEvent)),
    document=Product,
    project=project,
    indexes=((("words", 1), ("_id", 1)),),
    # Stock may be heard of before the product it is of.
    visible={"name": {"$ne": None}},
    private=("words",),
)


async def get(models: ReadModels, sku: str) -> dict[str, Any] | None:
    """A product, if it was added."""
    return await models.get(PRODUCTS, sku)


async def search(
    models: ReadModels, *, q: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page:
    """Products by SKU. Every word of `q` must begin a word of the name, or the SKU; raises CursorInvalid.

    Beginnings of words, and not any part of them, because those an index can find.
    """
    words = dict.fromkeys(_bare(part) for part in folded(q or "").split())
    wanted = {"$and": [{"words": {"$regex": f"^{re.escape(word)}"}} for word in words]} if words else {}
    return await models.page(PRODUCTS, wanted, limit=limit, cursor=cursor)
