"""One order's world in memory: the real deciders of all contexts, and messages that take their time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from contexts.fulfilment.events import CommandFailed, Fact, Stage, StepTaken, TimerFired
from contexts.fulfilment.knowledge import Saga
from contexts.fulfilment.saga import decide, evolve
from contexts.fulfilment.settlement import needed_by, obsolete
from contexts.inventory import decider as inventory
from contexts.inventory import reservation as reservations
from contexts.inventory.reservation import Reservation
from contexts.inventory.stock import Stock
from contexts.messages import Command, Rejected, wire_name
from contexts.ordering import decider as ordering
from contexts.ordering.commands import CancelOrder, RequestReturn
from contexts.ordering.order_lines import ReturnLine
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
    Look,
    Missing,
    Pending,
    Request,
)
from contexts.payments.standing import Refund, Standing, Stands
from contexts.shipping import decider as shipping
from contexts.shipping.commands import DeliverShipment, DispatchShipment, ReceiveReturn
from tests.sagas.messages import NOON, ORDER, TIMEOUT, placed

CONTEXTS = ("ordering", "inventory", "payments", "shipping")
DOUBTS = 3


class Provider:
    """The payment provider's own books: what is held, what was charged, what went back."""

    def __init__(self, manner: str) -> None:
        self.manner = manner
        self.waits = False
        self.held = False
        self.asked: PaymentRequested | None = None
        self.charges = 0
        self.refunds: dict[str, int] = {}

    def answer(self, request: Request) -> Answer:  # noqa: PLR0911 - a table
        """Every request is idempotent, as the port demands."""
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
                return Captured(self.asked.amount, self.asked.currency)
            case RefundRequested():
                self.refunds[request.return_id] = request.amount
                return Done()
            case Look():
                return self._standing(self.asked)

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
        return Approved("p-1", request.amount, request.currency)

    def _standing(self, asked: PaymentRequested) -> Standing:
        return Standing(
            order_id=asked.order_id,
            status=self._status(),
            amount=asked.amount,
            currency=asked.currency,
            captured=asked.amount if self.charges else 0,
            refunds=tuple(Refund(return_id, amount) for return_id, amount in self.refunds.items()),
        )

    def _status(self) -> Stands:
        if self.waits:
            return Stands.PENDING
        if self.charges:
            return Stands.CAPTURED
        if self.manner == "decline":
            return Stands.DECLINED
        return Stands.AUTHORIZED if self.held else Stands.VOIDED


class World:
    """What may happen next is whatever `possible` lists; a test chooses."""

    def __init__(self, manner: str, units: int) -> None:
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
        self.saga = Saga()
        self.steps: list[StepTaken] = []
        self.version = 0
        self.lane: list[tuple[str, Any]] = []
        self.carried_out: set[str] = set()
        self.refusals = 0
        self.returns = 0

    # What other people do.

    def _outside(self, command: Command) -> bool:
        try:
            self._carry_out(command)
        except Rejected:
            return False
        return True

    def customer_cancels(self) -> None:
        self._outside(CancelOrder(order_id=ORDER, reason="changed my mind"))

    def customer_returns(self) -> None:
        lines = (ReturnLine(sku="MUG", quantity=1),)
        return_id = f"r{self.returns + 1}"
        self.returns += self._outside(
            RequestReturn(order_id=ORDER, return_id=return_id, lines=lines, reason="chipped")
        )

    def warehouse_dispatches(self) -> None:
        self._outside(DispatchShipment(order_id=ORDER, carrier="DHL", tracking="T1"))

    def warehouse_delivers(self) -> None:
        self._outside(DeliverShipment(order_id=ORDER))

    def warehouse_takes_back(self) -> None:
        if self.states["shipping"].returns < self.returns:
            self._outside(ReceiveReturn(order_id=ORDER))

    def provider_decides(self, manner: str) -> None:
        """The webhook: payments asks how the payment stands, also when it no longer wants it."""
        if self.provider.waits:
            self.provider.decide(manner)
            self._outside(CheckPayment(order_id=ORDER))

    def payment_is_due(self) -> None:
        self._hear(TimerFired(order_id=ORDER, timer="payment"))

    # What the messages do.

    def hear_next(self, context: str) -> None:
        fact = self.logs[context][self.heard[context]]
        self.heard[context] += 1
        if isinstance(fact, get_args(Fact)):
            self._hear(fact)

    def hear_everything_again(self) -> None:
        before = self.version
        for context in CONTEXTS:
            for fact in self.logs[context][: self.heard[context]]:
                if isinstance(fact, get_args(Fact)):
                    self._hear(fact)
                    assert self.version == before, f"{fact} was heard twice"

    def send_next(self) -> None:
        """What the dispatcher does with the first command that waits."""
        command_id, command = self.lane[0]
        name, return_id = wire_name(type(command)), getattr(command, "return_id", None)
        needed = needed_by(name)
        if obsolete(self.saga, name, return_id):
            self._settled()
        elif any((it.command, it.return_id) == (needed, return_id) for it in self.saga.failures):
            self._failed(f"not sent: {needed} has failed before it")
        else:
            try:
                if command_id not in self.carried_out:
                    self._carry_out(command)
                    self.carried_out.add(command_id)
                self._settled()
            except Rejected as error:
                self.refusals += 1
                if self.refusals == DOUBTS:
                    self._failed(error.rule)

    def send_next_and_lose_the_answer(self) -> None:
        """It will be sent again under the same id."""
        for command_id, command in self.lane[:1]:
            if command_id not in self.carried_out and self._outside(command):
                self.carried_out.add(command_id)

    def possible(self) -> dict[str, Callable[[], None]]:
        """Everything that messages may do next, by name."""
        moves: dict[str, Callable[[], None]] = {}
        for context in CONTEXTS:
            if self.heard[context] < len(self.logs[context]):
                moves[f"hear {context}"] = partial(self.hear_next, context)
        if self.lane:
            moves["send"] = self.send_next
        return moves

    # How it is done.

    def _hear(self, fact: Fact) -> None:
        step = decide(self.saga, fact, NOON, TIMEOUT)
        if step is None:
            return
        self._evolve(step)
        self.steps.append(step)
        self.lane += [(f"{self.version}:{n}", command) for n, command in enumerate(step.commands, start=1)]

    def _evolve(self, event: StepTaken | CommandFailed) -> None:
        self.saga = evolve(self.saga, event)
        self.version += 1

    def _settled(self) -> None:
        self.lane.pop(0)
        self.refusals = 0

    def _failed(self, reason: str) -> None:
        command_id, command = self.lane[0]
        self._evolve(
            CommandFailed(
                order_id=ORDER,
                command_id=command_id,
                command=wire_name(type(command)),
                reason=reason,
                return_id=getattr(command, "return_id", None),
            )
        )
        self._settled()

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
            if not isinstance(request, Look) and request.idempotency_key not in self.states["payments"].asked:
                self._happened("payments", request)
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


def stages(world: World) -> list[Stage]:
    """The stages the order went through."""
    return [step.stage for step in world.steps]
