"""The documentation as one page of HTML: no script, no font, no image, nothing from another place."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import Any

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7d5a }
* { box-sizing: border-box }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 17rem 1fr }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem;
  border-right: 1px solid var(--line) }
nav a { display: block; padding: .15rem 0; font-size: .875rem; color: inherit; text-decoration: none }
nav a:hover { color: var(--accent) }
nav h2 { margin: 1rem 0 .25rem; font-size: .75rem; letter-spacing: .06em; text-transform: uppercase;
  opacity: .65 }
main { padding: 1rem 2rem 6rem; max-width: 64rem; min-width: 0 }
h1 { margin: .5rem 0 0 } h2 { margin-top: 3rem } h2, h3 { scroll-margin-top: 1rem }
article { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: .5rem }
article h3 { margin: 0; font-size: 1rem }
h4 { margin: 1rem 0 .25rem; font-size: .8rem; letter-spacing: .04em; text-transform: uppercase; opacity: .65 }
code { font: .875em ui-monospace, monospace; background: var(--soft); padding: .1em .3em;
  border-radius: .25rem; overflow-wrap: anywhere }
h3 code { background: none; padding: 0; font-size: 1rem }
.method { display: inline-block; min-width: 3.4rem; font-weight: 700; color: var(--accent) }
.scope { float: right; font-size: .8rem; opacity: .8 }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
td { padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); vertical-align: top }
td:first-child { white-space: nowrap }
a { color: var(--accent) }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto; border: 0 }
  main { padding: 1rem } td:first-child { white-space: normal } }
"""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    + "'"
)


def render(description: Json) -> str:
    """The page."""
    info = description["info"]
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    schemas = description["components"]["schemas"]
    about = {tag["name"]: tag.get("description", "") for tag in description["tags"]}
    menu = "".join(
        f"<h2>{escape(tag)}</h2>"
        + "".join(
            f'<a href="#{escape(one["operationId"])}">{escape(one["summary"])}</a>' for _, _, one in several
        )
        for tag, several in by_tag.items()
    )
    sections = "".join(
        f"<h2>{escape(tag)}</h2>{text(about[tag])}" + "".join(article(*one, description) for one in several)
        for tag, several in by_tag.items()
    )
    types = "".join(
        f'<article id="{anchor(name)}"><h3><code>{escape(name)}</code></h3>{shape(schema)}</article>'
        for name, schema in schemas.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>"
        f'<nav><a href="openapi.json">openapi.json</a>{menu}'
        '<h2>types</h2><a href="#types">All types</a></nav>'
        f"<main><h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['summary'])}.</p>"
        f'{text(info["description"])}{sections}<h2 id="types">types</h2>{types}</main></body></html>'
    )


def article(method: str, path: str, operation: Json, description: Json) -> str:
    """One route."""
    scopes = [scope for entry in operation["security"] for scope in entry["bearer"]]
    wanted = f"scope {mono(scopes[0])}" if scopes else "no token"
    parameters = [resolved(item, description) for item in operation["parameters"]]
    rows = [
        (mono(item["name"]), item["in"] + (", required" if item["required"] else ""), told(item))
        for item in parameters
    ]
    body = operation.get("requestBody")
    takes = f"<h4>Body</h4><p>{media(body['content'])}</p>" if body else ""
    answers = [
        (
            mono(status),
            media(answer["content"]) if "content" in answer else "",
            inline(answer["description"]) + listed(answer.get("headers", {})),
        )
        for status, answer in operation["responses"].items()
    ]
    return (
        f'<article id="{escape(operation["operationId"])}"><span class="scope">{wanted}</span>'
        f'<h3><span class="method">{method}</span> <code>{escape(path)}</code></h3>'
        f"<p>{escape(operation['summary'])}.</p>{text(operation.get('description', ''))}"
        f"<h4>Parameters</h4>{table(rows)}{takes}<h4>Answers</h4>{table(answers)}</article>"
    )


def shape(schema: Json) -> str:
    """A type: its fields, or what it is."""
    required = schema.get("required", ())
    rows = [
        (
            mono(name),
            kind(field) + (", required" if name in required else ""),
            inline(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    ]
    closed = "<p>Unknown fields are refused.</p>" if schema.get("additionalProperties") is False else ""
    head = text(schema.get("description", "")) + closed
    return head + (table(rows) if rows else f"<p>{kind(schema)}</p>")


def kind(schema: Json) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{anchor(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(kind(item) for item in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(mono(str(item)) for item in schema["enum"])
    if schema.get("type") == "array":
        return "list of " + kind(schema.get("items", {})) + limits(schema)
    if isinstance(schema.get("additionalProperties"), dict):
        return "text to " + kind(schema["additionalProperties"])
    return escape(str(schema.get("format", schema.get("type", "anything")))) + limits(schema)


LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "like {}",
}


def limits(schema: Json) -> str:
    found = [words.format(mono(str(schema[key]))) for key, words in LIMITS.items() if key in schema]
    return f" ({', '.join(found)})" if found else ""


def told(parameter: Json) -> str:
    note = parameter.get("description") or parameter["schema"].get("description", "")
    return kind(parameter["schema"]) + (f". {inline(note)}" if note else "")


def media(content: Json) -> str:
    return ", ".join(f"{kind(one['schema'])} as {mono(name)}" for name, one in content.items())


def listed(headers: Json) -> str:
    return f" Headers: {', '.join(mono(name) for name in headers)}." if headers else ""


def resolved(item: Json, description: Json) -> Json:
    """A parameter, looked up if it is a reference."""
    if "$ref" not in item:
        return item
    found: Json = description["components"]["parameters"][item["$ref"].rpartition("/")[2]]
    return found


def table(rows: list[tuple[str, str, str]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def text(markdown: str) -> str:
    """Paragraphs and lists; more of Markdown is not used."""
    return "".join(blocks(markdown))


def blocks(markdown: str) -> Iterator[str]:
    for block in filter(None, (part.strip() for part in markdown.split("\n\n"))):
        if block.startswith("- "):
            yield "<ul>" + "".join(f"<li>{inline(item[2:])}</li>" for item in block.splitlines()) + "</ul>"
        else:
            yield f"<p>{inline(block)}</p>"


def inline(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))


def mono(words: str) -> str:
    return f"<code>{escape(words)}</code>"


def anchor(name: str) -> str:
    return "type-" + escape(name)
