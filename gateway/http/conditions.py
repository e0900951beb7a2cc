"""Conditions of a request: against which version of a thing it is asked (RFC 9110, section 13)."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

import msgspec

from gateway.http.headers import unfit_header
from gateway.http.request import RequestContext
from gateway.problems import STALE_VERSION, Problem

MOST_TAGS = 32
TAG = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*)?(?:,|$)')
"""One entity tag, up to the next comma. An element of a list may be empty."""
VERSION = re.compile(r"(0|[1-9][0-9]{0,17})(?:-[0-9a-f]{16})?")
"""The tag of a thing at a version, or of a document that shows it."""


class Tag(NamedTuple):
    """An entity tag without its quotes."""

    opaque: str
    weak: bool = False


class Expected(msgspec.Struct, frozen=True):
    """At which versions a command may find the thing: None is any, and also that it is not there."""

    versions: tuple[int, ...] | None = None
    must_exist: bool = False


ANY: tuple[Tag, ...] = (Tag("*"),)
"""What `*` is read as; no tag in quotes is it."""


def tags_of(incoming: RequestContext, name: str) -> tuple[Tag, ...] | None:
    """The entity tags of a header, ANY, or None when it was not sent; raises a Problem on what is none."""
    text = incoming.header(name.lower().encode())
    if text is None:
        return None
    if text == "*":
        return ANY
    found: list[Tag] = []
    place = 0
    while place < len(text):
        match = TAG.match(text, place)
        if match is None:
            break
        if match[2] is not None:
            found.append(Tag(match[2], weak=match[1] is not None))
        place = match.end()
    if place < len(text) or not found:
        raise unfit_header(name, 'send ETags of earlier answers, such as "3", with commas, or * alone')
    if len(found) > MOST_TAGS:
        raise unfit_header(name, f"at most {MOST_TAGS} tags may be named")
    return tuple(found)


def expected_of(incoming: RequestContext) -> Expected:
    """What `If-Match` and `If-None-Match` make a command depend on; raises a Problem.

    The tags are those of the thing the command is about: of a command's answer or of a document. Weak ones
    never match, and neither do tags that name no version.
    """
    wanted = tags_of(incoming, "If-Match")
    unwanted = tags_of(incoming, "If-None-Match")
    if unwanted is not None:
        if unwanted is not ANY or wanted is not None:
            raise unfit_header("If-None-Match", "to a command it may only say * (and no If-Match beside it)")
        return Expected(versions=(0,))
    if wanted is None:
        return Expected()
    if wanted is ANY:
        return Expected(must_exist=True)
    matches = [VERSION.fullmatch(tag.opaque) for tag in wanted if not tag.weak]
    return Expected(versions=tuple(int(match[1]) for match in matches if match is not None))


def tag_of(body: bytes, version: int | None = None) -> Tag:
    """The tag of a document: its version, and what tells two answers of one version apart.

    A document may show more than the thing whose version it has: an order's shows its payment.
    """
    digest = hashlib.blake2b(body, digest_size=8).hexdigest()
    return Tag(digest if version is None else f"{version}-{digest}")


def is_known(incoming: RequestContext, tag: Tag) -> bool:
    """Whether the client has this very answer already; raises a Problem if it wants another one only."""
    wanted, known = tags_of(incoming, "If-Match"), tags_of(incoming, "If-None-Match")
    if wanted is not None and wanted is not ANY and tag not in wanted:
        raise Problem(STALE_VERSION, f'If-Match: the ETag is "{tag.opaque}"', field="If-Match")
    # Compared weakly: whether a tag says W/ does not matter.
    return known is not None and (known is ANY or tag.opaque in {each.opaque for each in known})
