"""What read models have lost, and what they and contexts keep back."""

from __future__ import annotations

from contexts import NAMES as CONTEXTS
from gateway.cli.doctor.finding import Checked
from infra.event_log.client import ContextUnavailable
from infra.mongo import Mongo, MongoUnavailable
from infra.nats.connection import NatsUnavailable, connect
from infra.runtime.dead_letters.client import DeadLetterClient
from infra.settings import Settings, SettingsInvalid
from read_models.monitoring.verification import inbox_name
from read_models.projection.dead_letters import list_parked
from read_models.projection.losses import losses_of_live
from read_models.projection.versions import all_versions
from read_models.registry import MODELS

SECONDS = 5.0


async def check_documents(settings: Settings) -> list[Checked]:
    """Look at what is kept in MongoDB; nothing is told if it does not answer, which another check says."""
    mongo = Mongo(settings)
    try:
        lost = await losses_of_live(mongo, MODELS)
        parked = {
            name: sum([len(await list_parked(mongo, version)) for version in versions.versions])
            for name, versions in (await all_versions(mongo, MODELS)).items()
        }
    except MongoUnavailable:
        return []
    finally:
        mongo.close()
    found = [Checked(f"documents of {name}", *loss.split("; ", 1)) for name, loss in lost.items()]
    if not found:
        found.append(Checked("documents", "nothing was deleted by hand"))
    return [*found, _dead_letters("read models", parked)]


async def check_inboxes(settings: Settings) -> list[Checked]:
    """Ask contexts for what they could not take; those that do not answer are told of by another check."""
    parked: dict[str, int] = {}
    try:
        nats = await connect(settings, "operator-doctor-inboxes")
    except (NatsUnavailable, SettingsInvalid):
        return []
    try:
        letters = DeadLetterClient(nats, timeout=SECONDS)
        for context in sorted(CONTEXTS):
            parked[inbox_name(context)] = len(await letters.keys(context))
    except ContextUnavailable as error:
        return [Checked("facts parked by contexts", str(error), "start the contexts: `orderfold up`")]
    finally:
        await nats.close()
    return [_dead_letters("contexts", parked)]


def _dead_letters(whose: str, parked: dict[str, int]) -> Checked:
    """How many keys are parked."""
    what = f"dead letters of {whose}"
    keys = {name: count for name, count in parked.items() if count}
    if not keys:
        return Checked(what, "none")
    seen = ", ".join(f"{count:,} keys of {name}" for name, count in keys.items())
    return Checked(what, seen, f"orderfold replay dead-letters list {' '.join(keys)}")
