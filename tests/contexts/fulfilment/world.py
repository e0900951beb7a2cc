"""One order's world in memory: the real deciders of all contexts, and messages that take their time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from contexts.fulfilment import operator
from contexts.fulfilment.commands import (
    AbandonFulfilment,
    FulfilmentCommand,
    PaymentSettlement,
    ResumeFulfilment,
    RetryFulfilment,
    SettleFulfilment,
    StockSettlement,
)
from contexts.fulfilment.events import (
    CommandFailed,
    FulfilmentEvent,
    FulfilmentRetried,
    Stage,
    StepTaken,
    command_id,
)
from contexts.fulfilment.process import (
    MONEY_CAPTURED,
    MONEY_HELD,
    RETURN,
    STOCK_RESERVED,
    obsolete,
    outstanding,
)
from contexts.fulfilment.saga import decide, evolve
from contexts.fulfilment.state import Saga
from contexts.fulfilment.steps import Fact, TimerFired, awaited, identity, needs
from contexts.inventory import decider as inventory
from contexts.inventory import reservation as reservations
from contexts.inventory.reservation import Reservation
from contexts.inventory.stock import Stock
from contexts.messages import Command, Rejected, Units, wire_name
from contexts.ordering import decider as ordering
from contexts.ordering.commands import (
    CancelOrder,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    WithdrawReturn,
)
from contexts.ordering.events import ReturnReceived
from contexts.ordering.order_lines import ReceivedLine
from contexts.payments import decider as payments
from contexts.payments.answers import answered
from contexts.payments.commands import CheckPayment, PaymentsCommand
from contexts.payments.decider import Undecided
from contexts.payments.events import (
    CaptureRequested,
    PaymentRequested,
    PaymentsEvent,
    RefundRequested,
    VoidRequested,
)
from contexts.payments.provider import (
    Answer,
    Approved,
    Captured,
    Declined,
    Done,
    Impossible,
    Missing,
    Pending,
    Request,
    StatusRequest,
)
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus, Refund
from contexts.shipping import decider as shipping
from contexts.shipping.commands import DeliverShipment, DispatchShipment
from tests.contexts.fulfilment.messages import NOON, ORDER, TIMEOUT, placed

CONTEXTS = ("ordering", "inventory", "payments", "shipping")
DOUBTS = 3


class Silent(Exception):
    """The provider did what it was asked for, and its answer was lost."""


class Provider:
    """The payment provider's own books: what is held, what was charged, what went back.

    `manner` is how it answers a request to authorise; a silent one loses its next answer.
    """

    def __init__(self, manner: str) -> None:
        self.silent = False
        self.by_hand = False
        self.manner = manner
        self.waits = False
        self.held = False
        self.asked: PaymentRequested | None = None
        self.charges = 0
        self.refunds: dict[str, int] = {}

    def answer(self, request: Request) -> Answer:
        """Every request is idempotent, as the port demands."""
        answer = self._answer(request)
        if self.silent and not isinstance(request, StatusRequest):
            self.silent = False
            raise Silent
        return answer

    def void_by_hand(self) -> None:
        """Somebody does it in the provider's dashboard."""
        if self.held:
            self.held, self.by_hand = False, True

    def refund_by_hand(self) -> None:
        """Somebody gives a penny back in the provider's dashboard."""
        if self.charges:
            self.refunds["by-hand"], self.by_hand = 1, True

    def _answer(self, request: Request) -> Answer:  # noqa: PLR0911 - a table
        match request:
            case PaymentRequested():
                return self._authorize(request)
            case _ if self.asked is None:
                return Missing()
            case VoidRequested() if self.waits:
                return Pending()
            case VoidRequested() if self.charges:
                return Impossible("captured")
            case VoidRequested():
                self.held = False
                return Done()
            case CaptureRequested() if not self.charges and not self.held:
                return Impossible("nothing is held")
            case CaptureRequested():
                self.held, self.charges = False, 1
                return Captured(self.amount(self.asked), self.asked.currency)
            case RefundRequested():
                self.refunds[request.return_id] = request.amount
                return Done()
            case StatusRequest():
                return self._provider_payment(self.asked)

    def decide(self, manner: str) -> None:
        """Make up its mind."""
        self.waits = False
        self.manner = manner
        self.held = manner == "approve"

    def _authorize(self, request: PaymentRequested) -> Answer:
        first = self.asked is None
        self.asked = request
        if self.manner == "decline":
            return Declined("insufficient funds")
        if self.manner == "pending":
            self.waits = True
            return Pending()
        self.held = self.held or first
        return Approved("p-1", self.amount(request), request.currency)

    def amount(self, asked: PaymentRequested) -> int:
        """What it holds of what it was asked for."""
        return 1 if self.manner == "mismatch" else asked.amount

    def _provider_payment(self, asked: PaymentRequested) -> ProviderPayment:
        return ProviderPayment(
            order_id=asked.order_id,
            status=self._status(),
            amount=self.amount(asked),
            currency=asked.currency,
            captured=self.amount(asked) if self.charges else 0,
            refunds=tuple(Refund(return_id, amount) for return_id, amount in self.refunds.items()),
        )

    def _status(self) -> ProviderStatus:
        if self.waits:
            return ProviderStatus.PENDING
        if self.charges:
            return ProviderStatus.CAPTURED
        if self.manner == "decline":
            return ProviderStatus.DECLINED
        return ProviderStatus.AUTHORIZED if self.held else ProviderStatus.VOIDED


class World:
    """What may happen next is whatever `possible` lists; a test chooses."""

    def __init__(self, manner: str, units: int) -> None:
        self.units = units
        self.provider = Provider(manner)
        self.stocks = {"MUG": Stock(on_hand=units), "POT": Stock(on_hand=units)}
        self.states: dict[str, Any] = {
            "ordering": ordering.evolve(None, placed),
            "inventory": Reservation(),
            "payments": payments.Payment(),
            "shipping": shipping.Shipment(),
        }
        self.logs: dict[str, list[Any]] = {context: [] for context in CONTEXTS}
        self.logs["ordering"].append(placed)
        self.heard = dict.fromkeys(CONTEXTS, 0)
        self.catching_up = dict.fromkeys(CONTEXTS, 0)
        self.saga = Saga()
        self.steps: list[StepTaken] = []
        self.version = 0
        self.lane: list[tuple[str, Any]] = []
        self.carried_out: set[str] = set()
        self.refusals = 0
        self.returns = 0
        self.accepted: dict[str, dict[str, int]] = {}
        self.failed: dict[str, Any] = {}

    # What other people do.

    def _outside(self, command: Command) -> bool:
        try:
            self._carry_out(command)
        except (Rejected, Silent):
            return False
        return True

    def customer_cancels(self) -> None:
        self._outside(CancelOrder(order_id=ORDER, reason="changed my mind"))

    def customer_returns(self) -> None:
        lines = (Units(sku="MUG", quantity=1),)
        return_id = f"r{self.returns + 1}"
        self.returns += self._outside(
            RequestReturn(order_id=ORDER, return_id=return_id, lines=lines, reason="chipped")
        )

    def customer_withdraws_the_return(self) -> None:
        self._outside(WithdrawReturn(order_id=ORDER, return_id=f"r{self.returns}"))

    def shop_refuses_the_return(self) -> None:
        self._outside(RefuseReturn(order_id=ORDER, return_id=f"r{self.returns}", reason="worn"))

    def warehouse_dispatches(self) -> None:
        self._outside(DispatchShipment(order_id=ORDER, carrier="DHL", tracking="T1"))

    def warehouse_delivers(self) -> None:
        self._outside(DeliverShipment(order_id=ORDER))

    def warehouse_takes_back(self) -> None:
        self._outside(ReceiveReturn(order_id=ORDER))

    def warehouse_writes_off(self) -> None:
        lines = (ReceivedLine(sku="MUG", written_off=1),)
        self._outside(ReceiveReturn(order_id=ORDER, return_id=f"r{self.returns}", lines=lines))

    def provider_decides(self, manner: str) -> None:
        """The webhook: payments asks how the payment stands, also when it no longer wants it."""
        if self.provider.waits:
            self.provider.decide(manner)
            self._outside(CheckPayment(order_id=ORDER))

    def provider_loses_its_next_answer(self) -> None:
        self.provider.silent = True

    def somebody_voids_by_hand(self) -> None:
        self.provider.void_by_hand()

    def somebody_refunds_by_hand(self) -> None:
        self.provider.refund_by_hand()

    def payment_is_checked(self) -> None:
        """A webhook came, or it was time to compare the books."""
        self._outside(CheckPayment(order_id=ORDER))

    def operator_retries(self) -> None:
        self._operate(RetryFulfilment(order_id=ORDER))

    def operator_abandons(self) -> None:
        self._operate(AbandonFulfilment(order_id=ORDER, reason="settled by telephone"))

    def operator_resumes(self) -> None:
        self._operate(ResumeFulfilment(order_id=ORDER, reason="the provider is back"))

    def operator_settles(self) -> None:
        """Let go of what can be let go of; what was captured stays, what is gone is shipped."""
        found = outstanding(self.saga)
        goods_gone = self.saga.parcel is not None
        money = any(it in {MONEY_HELD, "payment unanswered"} for it in found)
        payment = None
        if money:
            payment = (
                PaymentSettlement.CAPTURE if goods_gone and MONEY_HELD in found else PaymentSettlement.VOID
            )
        elif MONEY_CAPTURED in found or any(it.startswith(RETURN) for it in found):
            payment = PaymentSettlement.OUTSIDE
        stock = None
        if STOCK_RESERVED in found:
            stock = StockSettlement.SHIP if goods_gone else StockSettlement.RELEASE
        self._operate(SettleFulfilment(order_id=ORDER, reason="by hand", payment=payment, stock=stock))

    def payment_is_due(self) -> None:
        if self.caught_up():
            self._hear(TimerFired(order_id=ORDER, timer="payment"))

    # What the messages do.

    def hear_next(self, context: str) -> None:
        fact = self.logs[context][self.heard[context]]
        self.heard[context] += 1
        if isinstance(fact, get_args(Fact)):
            self._hear(fact)

    def saga_loses_its_store(self) -> None:
        """It begins again with nothing; what it had asked for was sent or is lost."""
        self.saga, self.version = Saga(), 0
        self.heard = dict.fromkeys(CONTEXTS, 0)
        self.lane, self.refusals = [], 0
        self.accepted, self.failed = {}, {}
        self.catching_up = {context: len(log) for context, log in self.logs.items()}

    def caught_up(self) -> bool:
        """Until then nothing is sent, and no timer rings."""
        return all(self.heard[context] >= head for context, head in self.catching_up.items())

    def hear_everything_again(self) -> None:
        """Nothing follows from it; an abandoned order may note what it had no use for before."""
        before = (self.saga.stage, self.lane[:])
        for context in CONTEXTS:
            for fact in self.logs[context][: self.heard[context]]:
                if isinstance(fact, get_args(Fact)):
                    version = self.version
                    self._hear(fact)
                    assert (self.saga.stage, self.lane) == before, f"{fact} was acted on twice"
                    if self.saga.stage is not Stage.ABANDONED:
                        assert self.version == version, f"{fact} was heard twice"

    def send_next(self) -> None:
        """What the dispatcher does with the first command that waits."""
        sent_as, command = self.lane[0]
        step = identity(command)
        if obsolete(self.saga, step):
            self._settled()
        elif hindrance := self._hindered(command):
            self._failed(f"not sent: {hindrance} has failed before it")
        else:
            try:
                if sent_as not in self.carried_out:
                    self._carry_out(command)
                    self.carried_out.add(sent_as)
                if awaited(step):
                    self.accepted[sent_as] = {context: len(log) for context, log in self.logs.items()}
                    self.failed[sent_as] = command
                self._settled()
            except Silent:
                # It stays where it is, and is sent again.
                return
            except Rejected as error:
                self.refusals += 1
                if self.refusals == DOUBTS:
                    self._failed(error.rule)

    def send_next_and_lose_the_answer(self) -> None:
        """It will be sent again under the same id."""
        if not (self.lane and self.caught_up()):
            return
        sent_as, command = self.lane[0]
        wanted = sent_as not in self.carried_out and not obsolete(self.saga, identity(command))
        if wanted and not self._hindered(command) and self._outside(command):
            self.carried_out.add(sent_as)

    def _hindered(self, command: Any) -> str:
        """The command that has to be done before and has failed; empty if there is none."""
        return_id = getattr(command, "return_id", None)
        for it in self.saga.failures:
            if it.command in needs(identity(command)) and it.return_id in {None, return_id}:
                return it.command
        return ""

    def confirm_accepted(self) -> None:
        """What the saga has heard everything about, and no fact shows, has failed."""
        for sent_as, heads in list(self.accepted.items()):
            if all(self.heard[context] >= head for context, head in heads.items()):
                del self.accepted[sent_as]
                command = self.failed.pop(sent_as)
                if not obsolete(self.saga, identity(command)):
                    self._fails(sent_as, command, "accepted, but no event shows that it was done")

    def possible(self) -> dict[str, Callable[[], None]]:
        """Everything that messages may do next, by name."""
        moves: dict[str, Callable[[], None]] = {}
        for context in CONTEXTS:
            if self.heard[context] < len(self.logs[context]):
                moves[f"hear {context}"] = partial(self.hear_next, context)
        if self.lane and self.caught_up():
            moves["send"] = self.send_next
        return moves

    # How it is done.

    def _hear(self, fact: Fact) -> None:
        event = decide(self.saga, fact, NOON, TIMEOUT)
        if event is None:
            return
        self._evolve(event)
        if isinstance(event, StepTaken):
            self.steps.append(event)
            self._send(event.commands)
        self.confirm_accepted()

    def _send(self, commands: tuple[Any, ...]) -> None:
        for command in commands:
            self.lane.append((command_id(f"fulfilment-{ORDER}", identity(command), self.version), command))

    def _operate(self, command: FulfilmentCommand) -> None:
        try:
            events = operator.decide(self.saga, command, NOON, TIMEOUT)
        except Rejected:
            return
        for event in events:
            failures = self.saga.failures
            self._evolve(event)
            if isinstance(event, FulfilmentRetried):
                self.lane += [
                    (it.failure_id, self.failed.pop(it.failure_id)) for it in failures if it.retryable
                ]
            else:
                self._send(event.commands)

    def _evolve(self, event: FulfilmentEvent) -> None:
        self.saga = evolve(self.saga, event)
        self.version += 1

    def _settled(self) -> None:
        self.lane.pop(0)
        self.refusals = 0

    def _failed(self, reason: str) -> None:
        self._fails(*self.lane[0], reason)
        self._settled()

    def _fails(self, sent_as: str, command: Any, reason: str) -> None:
        self.failed[sent_as] = command
        self._evolve(
            CommandFailed(
                order_id=ORDER,
                command_id=sent_as,
                command=wire_name(type(command)),
                reason=reason,
                return_id=getattr(command, "return_id", None),
            )
        )

    def _carry_out(self, command: Any) -> None:
        context = wire_name(type(command)).partition(".")[0]
        state = self.states[context]
        match context:
            case "ordering":
                events: tuple[Any, ...] = ordering.decide(state, command)
            case "inventory":
                events = reservations.decide(state, command, self.stocks)
            case "payments":
                events = self._pay(command)
            case _:
                events = shipping.decide(state, command)
        for event in events:
            self._happened(context, event)

    def _pay(self, command: PaymentsCommand) -> tuple[PaymentsEvent, ...]:
        """What the service of payments does; whoever waits for a decision of the provider gets it."""
        answers: dict[type[Request], Answer] = {}
        while (request := payments.question(self.states["payments"], command, answers)) is not None:
            for intent in payments.intents(self.states["payments"], command, request):
                self._happened("payments", intent)
            answers[type(request)] = self.provider.answer(request)
            for event in answered(self.states["payments"], request, answers[type(request)]):
                self._happened("payments", event)
        try:
            return payments.decide(self.states["payments"], command, answers)
        except Undecided:
            self.provider.decide("approve")
            return self._pay(command)

    def _happened(self, context: str, event: Any) -> None:
        self.logs[context].append(event)
        evolves: Mapping[str, Callable[[Any, Any], Any]] = {
            "ordering": ordering.evolve,
            "inventory": inventory.evolve,
            "payments": payments.evolve,
            "shipping": shipping.evolve,
        }
        sku = getattr(event, "sku", None)
        if context == "inventory" and sku is not None:
            self.stocks[sku] = inventory.evolve(self.stocks[sku], event)  # type: ignore[assignment]
        else:
            self.states[context] = evolves[context](self.states[context], event)

    def received(self) -> list[ReturnReceived]:
        """What came back."""
        return [fact for fact in self.logs["ordering"] if isinstance(fact, ReturnReceived)]


def stages(world: World) -> list[Stage]:
    """The stages the order went through."""
    return [step.stage for step in world.steps]
