"""A user that tries what is others' business is refused: on a real server with the real configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import msgspec
import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from contexts import NAMES
from infra.deploy.nats.permissions import users as permitted
from infra.deploy.nats_keys import seed_file, users
from infra.nats.connection import connect, request
from infra.nats.jetstream import JetStreamRefused, ask, ensure_consumer, ensure_stream
from infra.runtime.timers import Timers
from tests.infra.nats.permitted import commands, contexts
from tests.infra.nats.server import GuardedServer
from tests.support.nats_settled import settled

USERS = users()
STREAMS = (*(f"EV_{name}" for name in NAMES), "TIMERS_fulfilment")
SEE_EVERY_LOG = {"read_models", "operator"}
"""Read models read them by durables of any name, the operator asks the contexts."""
OF_PAYMENTS = {"cmd.payments.CheckPayment"}
BOTH_SEND = {"cmd.ordering.CancelOrder"}
"""Customers cancel orders, and so does the saga that cannot fulfil one. Nothing else is sent by both."""


class Intruder:
    """A user's bare connection, as whoever stole its seed would make it."""

    def __init__(self, client: Client, errors: list[str]) -> None:
        self.client = client
        self._errors = errors

    async def published(self, subjects: Iterable[str]) -> list[str]:
        """Those of the subjects that the server takes messages for."""
        tried = list(subjects)
        for subject in tried:
            await self.client.publish(subject, b"{}", reply=self.client.new_inbox())
        return await self._allowed({subject: f'publish to "{subject}"' for subject in tried})

    async def subscribed(self, subjects: Iterable[str]) -> list[str]:
        """Those of the subjects that the server lets it hear; after a space, in a queue group."""
        tried = list(subjects)
        for text in tried:
            subject, _, queue = text.partition(" ")
            await self.client.subscribe(subject, queue=queue, cb=ignore)
        return await self._allowed({text: violation_of(text) for text in tried})

    async def _allowed(self, violations: dict[str, str]) -> list[str]:
        # The server's errors come before its answer to a ping; the library sends the first one ahead of
        # what waits to be sent.
        await self.client.flush(5)
        await self.client.flush(5)
        refused = "\n".join(self._errors) + "\n"
        # The library tells errors in lower case.
        return [text for text, words in violations.items() if f"{words.lower()}\n" not in refused]


def violation_of(text: str) -> str:
    """What the server calls a subscription that it refuses."""
    subject, _, queue = text.partition(" ")
    return f'subscription to "{subject}"' + (f' using queue "{queue}"' if queue else "")


async def ignore(_: Msg) -> None:
    """Nothing that is heard matters here."""


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest) -> str:
    """Each user once."""
    return str(request.param)


@pytest.fixture
async def intruder(guarded: GuardedServer, user: str) -> AsyncIterator[Intruder]:
    errors: list[str] = []

    async def failed(error: Exception) -> None:
        errors.append(str(error))

    client = await nats.connect(
        guarded.url, nkeys_seed=str(seed_file(guarded.keys, user)), error_cb=failed, allow_reconnect=False
    )
    yield Intruder(client, errors)
    await client.close()


@pytest.fixture(scope="module")
def commands_taken() -> dict[str, set[str]]:
    """The commands the server has taken, by user."""
    return {}


async def test_only_commands_it_has_to_send_are_taken(
    user: str, intruder: Intruder, commands_taken: dict[str, set[str]]
) -> None:
    """The gateway's routes, the saga's steps, and payments' own check of its books; no other commands."""
    taken = set(await intruder.published(f"cmd.{name}" for name in commands()))
    commands_taken[user] = taken
    if user == "gateway":
        assert taken >= OF_PAYMENTS | {"cmd.ordering.PlaceOrder"}
        assert not taken & {"cmd.payments.CapturePayment", "cmd.ordering.ConfirmOrder"}
    elif user == "fulfilment":
        assert "cmd.payments.CapturePayment" in taken
        assert not taken & {
            "cmd.ordering.PlaceOrder",
            "cmd.catalog.AddProduct",
            "cmd.customers.ForgetCustomer",
        }
    elif user == "payments":
        assert taken == OF_PAYMENTS
    else:
        assert not taken


def test_every_command_is_a_clients_or_the_sagas(commands_taken: dict[str, set[str]]) -> None:
    """What the saga decides, no client may say, and the other way round; nothing is sent by nobody."""
    if not {"gateway", "fulfilment"} <= commands_taken.keys():
        pytest.skip("it judges what the test before it has found out")
    clients, sagas = commands_taken["gateway"], commands_taken["fulfilment"]
    assert clients & sagas == BOTH_SEND
    assert clients | sagas == {f"cmd.{name}" for name in commands()}


async def test_only_its_own_facts_are_taken(user: str, intruder: Intruder) -> None:
    """A context publishes its own events and where its log ends; nobody speaks for another."""
    mine = [name for name in NAMES if name == user]
    assert await intruder.published(f"ev.{name}.0.Anything" for name in NAMES) == [
        f"ev.{name}.0.Anything" for name in mine
    ]
    assert await intruder.published(f"head.{name}" for name in NAMES) == [f"head.{name}" for name in mine]


async def test_nobody_takes_anything_out_of_a_stream(user: str, intruder: Intruder) -> None:
    """But the operator, who has a log published anew, and the saga: it cancels timers, or makes them anew."""
    verbs = (
        "DELETE",
        "PURGE",
        "UPDATE",
        "MSG.DELETE",
        "SNAPSHOT",
        "RESTORE",
        "LEADER.STEPDOWN",
        "PEER.REMOVE",
    )
    taken = await intruder.published(f"$JS.API.STREAM.{verb}.{name}" for name in STREAMS for verb in verbs)
    allowed = {
        "operator": [f"$JS.API.STREAM.DELETE.EV_{name}" for name in NAMES],
        "fulfilment": [f"$JS.API.STREAM.{verb}.TIMERS_fulfilment" for verb in ("DELETE", "PURGE")],
    }
    assert taken == allowed.get(user, [])


async def test_no_stream_is_made_but_its_own(user: str, intruder: Intruder) -> None:
    taken = await intruder.published(f"$JS.API.STREAM.CREATE.{name}" for name in (*STREAMS, "ANYTHING"))
    own = [f"$JS.API.STREAM.CREATE.EV_{user}"] if user in NAMES else []
    timers = ["$JS.API.STREAM.CREATE.TIMERS_fulfilment"] if user == "fulfilment" else []
    assert taken == own + timers


async def test_no_durable_is_touched_but_its_own(user: str, intruder: Intruder) -> None:
    """Neither asked for messages, nor reset, nor deleted, nor acknowledged for."""
    others = [
        (f"EV_{heard}", f"{name}-inbox")
        for name, context in contexts().items()
        for heard in context.receives
        if name != user
    ]
    others += [("TIMERS_fulfilment", "alarm")] if user != "fulfilment" else []
    others += [("EV_ordering", "rm-orders")] if user != "read_models" else []
    attempts = [
        subject
        for stream, durable in others
        for subject in (
            *(
                f"$JS.API.CONSUMER.{verb}.{stream}.{durable}"
                for verb in ("CREATE", "DELETE", "RESET", "PAUSE")
            ),
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{durable}",
            f"$JS.API.CONSUMER.CREATE.{stream}",
            f"$JS.ACK.{stream}.{durable}.1.1.1.1700000000000000000.0",
        )
    ]
    # A version of a read model that is dropped takes its durables with it.
    allowed = ["$JS.API.CONSUMER.DELETE.EV_ordering.rm-orders"] if user == "operator" else []
    assert await intruder.published(attempts) == allowed


async def test_its_own_durables_are_its_to_use(user: str, intruder: Intruder) -> None:
    known = contexts()
    mine = [(f"EV_{heard}", f"{user}-inbox") for heard in (known[user].receives if user in known else ())]
    mine += [("TIMERS_fulfilment", "alarm")] if user == "fulfilment" else []
    mine += [(f"EV_{name}", "rm-orders_v2-0_to_7") for name in NAMES] if user == "read_models" else []
    uses = [
        subject
        for stream, durable in mine
        for subject in (
            *(
                f"$JS.API.CONSUMER.{verb}.{stream}.{durable}"
                for verb in ("CREATE", "INFO", "DELETE", "RESET")
            ),
            f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
            f"$JS.ACK.{stream}.{durable}.1.1.1.1700000000000000000.0",
        )
    ]
    assert await intruder.published(uses) == uses


async def test_no_log_is_read_that_it_need_not_know(user: str, intruder: Intruder) -> None:
    """A context reads those it receives, and of its own stream how far it has published."""
    known = contexts()
    read = set(known[user].receives) if user in known else set(NAMES)
    seen = read | {user} if user in known else set(NAMES if user in SEE_EVERY_LOG else ())
    taken = await intruder.published(
        subject
        for name in NAMES
        for subject in (
            f"svc.{name}.log",
            f"$JS.API.STREAM.INFO.EV_{name}",
            f"$JS.API.STREAM.MSG.GET.EV_{name}",
            f"$JS.API.DIRECT.GET.EV_{name}",
        )
    )
    assert set(taken) == {
        *(f"svc.{name}.log" for name in read),
        *(f"$JS.API.STREAM.{what}.EV_{name}" for name in seen for what in ("INFO", "MSG.GET")),
    }


async def test_only_who_reads_a_log_hears_how_far_it_goes(user: str, intruder: Intruder) -> None:
    known = contexts()
    receives = known[user].receives if user in known else NAMES if user == "read_models" else ()
    assert set(await intruder.subscribed(f"head.{name}" for name in NAMES)) == {
        f"head.{name}" for name in receives
    }


async def test_a_question_is_put_by_those_alone_who_need_its_answer(user: str, intruder: Intruder) -> None:
    """Personal data is opened for the gateway alone; the provider's books are the operator's to read."""
    askers = {
        "svc.customers.open": {"gateway"},
        "svc.customers.keys": {"gateway", "operator"},
        "svc.payments.books": {"operator"},
        **{f"svc.{name}.behind": {"gateway", *SEE_EVERY_LOG} for name in NAMES},
        **{f"svc.{name}.dead-letters": {"operator"} for name in NAMES},
    }
    every = {
        f"svc.{name}.{question}" for name, context in contexts().items() for question in context.requests
    }
    assert every <= askers.keys()
    taken = set(await intruder.published(askers))
    assert taken == {subject for subject, users_ in askers.items() if user in users_}


async def test_only_a_context_itself_answers_for_it(user: str, intruder: Intruder) -> None:
    """Commands and questions, in its own queue group, so that each is answered once."""
    asked = {
        name: [
            f"cmd.{name}.* {name}",
            f"svc.{name}.relay",
            *(
                f"svc.{name}.{question} svc-{name}"
                for question in ("log", "behind", "dead-letters", *context.requests)
            ),
        ]
        for name, context in contexts().items()
    }
    taken = await intruder.subscribed(subject for subjects in asked.values() for subject in subjects)
    assert taken == asked.get(user, [])


async def test_only_the_saga_sets_timers(user: str, intruder: Intruder) -> None:
    taken = await intruder.published(f"timer.{name}.order-1" for name in NAMES)
    assert taken == (["timer.fulfilment.order-1"] if user == "fulfilment" else [])


async def test_only_gateways_tell_each_other_what_they_let_through(user: str, intruder: Intruder) -> None:
    heard = await intruder.subscribed(["limits.gateway"])
    assert await intruder.published(["limits.gateway"]) == heard
    assert bool(heard) == (user == "gateway")


async def test_only_the_operator_lists_durables(user: str, intruder: Intruder) -> None:
    subjects = [f"$JS.API.CONSUMER.NAMES.{stream}" for stream in STREAMS]
    allowed = [subject for subject in subjects if "TIMERS" not in subject] if user == "operator" else []
    assert await intruder.published(subjects) == allowed


async def test_only_the_operator_holds_up_a_relay(user: str, intruder: Intruder) -> None:
    relays = [f"svc.{name}.relay" for name in NAMES]
    assert await intruder.published(relays) == (relays if user == "operator" else [])


async def test_nobody_is_answered_unasked(user: str, intruder: Intruder) -> None:
    """An answer goes to who asked, once: nothing is slipped into another's inbox."""
    inboxes = [f"_INBOX_{other}.stolen.token" for other in USERS]
    assert await intruder.published([*inboxes, "_INBOX.stolen.token"]) == []


async def test_nobody_is_overheard(user: str, intruder: Intruder) -> None:
    """Neither answers to others, nor commands, questions and events on their way, nor the server's own."""
    streams = (f"{kind}.{name}.>" for kind in ("cmd", "svc", "ev", "timer", "due") for name in NAMES)
    attempts = [
        *(f"_INBOX_{other}.>" for other in USERS if other != user),
        *streams,
        *(f"cmd.{name}.*" for name in NAMES),
        *(f"cmd.{name}.* {name}" for name in NAMES if name != user),
        *(f"cmd.{name}.* another" for name in NAMES),
        *(f"svc.{name}.log" for name in NAMES),
        *("_INBOX.>", "*.>", "cmd.>", "ev.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", "$SYS.>", ">"),
    ]
    assert await intruder.subscribed(attempts) == []


async def test_the_server_itself_is_out_of_reach(intruder: Intruder) -> None:
    attempts = ("$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$JS.API.INFO", "$JS.API.STREAM.LIST")
    assert await intruder.published((*attempts, "$JS.API.STREAM.NAMES", "anything", "timer.ordering.x")) == []


async def test_what_is_written_for_it_is_what_the_server_lets_it_do(user: str, intruder: Intruder) -> None:
    """Nothing is lost between what is computed and what nats-server makes of the file."""
    (rights,) = [known for known in permitted() if known.name == user]
    subjects = [subject for group in rights.publish.values() for subject in group]
    examples = [subject.replace(">", "x").replace("*", "x") for subject in subjects]
    assert await intruder.published(examples) == examples
    assert await intruder.subscribed(rights.subscribe) == list(rights.subscribe)


async def test_a_durables_name_cannot_be_forged_in_the_request(guarded: GuardedServer) -> None:
    """Permissions see the subject; that the request says the same is JetStream's own rule."""
    ordering = await connect(guarded.settings("ordering"), "ordering")
    await ensure_stream(ordering, "ordering")
    await ordering.close()
    client = await connect(guarded.settings("read_models"), "read_models")
    await ensure_consumer(client, "EV_ordering", "rm-orders", ["ev.ordering.>"])
    forged = {"name": "fulfilment-inbox", "durable_name": "fulfilment-inbox", "ack_policy": "all"}
    for stream, config in (("EV_ordering", forged), ("EV_payments", {**forged, "durable_name": "rm-orders"})):
        with pytest.raises(JetStreamRefused, match="does not match"):
            await ask(
                client,
                "CONSUMER.CREATE.EV_ordering.rm-orders",
                msgspec.Struct,
                {"stream_name": stream, "config": config, "action": "create"},
            )
    await client.close()


async def test_a_timer_rings_in_its_own_context_only(guarded: GuardedServer) -> None:
    """A scheduled message may become any subject of its own stream, so no command and no event."""
    client = await connect(guarded.settings("fulfilment"), "fulfilment")
    await Timers(client, "fulfilment").ensure()
    for target in ("cmd.payments.CapturePayment", "ev.payments.0.PaymentCaptured"):
        headers = {"Nats-Schedule": "@at 2020-01-01T00:00:00Z", "Nats-Schedule-Target": target}
        reply = await request(client, "timer.fulfilment.forged", b"{}", headers=headers)
        assert b"schedules target is invalid" in reply.data
    await client.close()


@pytest.mark.parametrize("name", NAMES)
async def test_whoever_was_asked_may_answer_once(guarded: GuardedServer, name: str) -> None:
    """`allow_responses`, as contexts have it."""
    context = await connect(guarded.settings(name), name)
    gateway = await connect(guarded.settings("gateway"), "gateway")
    answered = asyncio.Event()

    async def answer(message: Msg) -> None:
        for _ in range(2):
            await message.respond(b"an answer")
        answered.set()

    await context.subscribe(f"svc.{name}.log", queue=f"svc-{name}", cb=answer)
    await settled(context)
    before = len(guarded.violations())
    assert (await request(gateway, f"svc.{name}.log")).data == b"an answer"
    await answered.wait()
    await settled(context)
    assert len(guarded.violations()) == before + 1
    await context.close()
    await gateway.close()
