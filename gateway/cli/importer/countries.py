"""Countries by their ISO 3166-1 code or their English name in that standard."""

from __future__ import annotations

from functools import cache

import pycountry

from gateway.cli.errors import CommandFailed


def country_code(text: str) -> str | None:
    """The alpha-2 code that a code or a name means; None if it means none.

    `UK` is none: it is no code of the standard, and what else it may mean is not guessed.
    """
    return _known().get(text.strip().casefold())


def country_names(given: list[str]) -> dict[str, str]:
    """Read `--country`: `Atlantis=GR`; raises CommandFailed. The names are casefolded."""
    names: dict[str, str] = {}
    for pair in given:
        name, equals, code = (part.strip() for part in pair.rpartition("="))
        if not equals or len(code) != 2 or country_code(code) != code.upper():
            raise CommandFailed(f"--country: {pair!r} is not NAME=CODE with an ISO 3166 code, as in UK=GB")
        if names.setdefault(name.casefold(), code.upper()) != code.upper():
            raise CommandFailed(f"--country: {name!r} is given two codes")
    return names


@cache
def _known() -> dict[str, str]:
    known: dict[str, str] = {}
    for country in pycountry.countries:
        names = (getattr(country, kind, None) for kind in ("name", "official_name", "common_name"))
        for name in (country.alpha_2, *filter(None, names)):
            known[name.casefold()] = country.alpha_2
    return known
