"""An order of three lines, told in the commands and events of its life; a mug was sold at two prices."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from contexts.messages import Units
from contexts.ordering.commands import (
    AbandonOrder,
    AcceptReturn,
    ApproveCancellation,
    CancelOrder,
    CompleteOrder,
    ConfirmOrder,
    MarkDispatched,
    PlaceOrder,
    ReceiveReturn,
    RefuseReturn,
    RequestReturn,
    ResumeOrder,
    WithdrawReturn,
)
from contexts.ordering.decider import decide, evolve
from contexts.ordering.events import (
    CancellationRefused,
    CancellationRequested,
    OrderAbandoned,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderDispatched,
    OrderPlaced,
    OrderResumed,
    ReturnAccepted,
    ReturnReceived,
    ReturnRefused,
    ReturnRequested,
    ReturnWithdrawn,
)
from contexts.ordering.order_lines import OrderLine, ReceivedLine, Sale, WantedLine
from contexts.ordering.price_list import KnownCustomer, ListedProduct, Terms
from tests.spec import Spec

order = Spec(None, decide, evolve)

NOON = datetime(2010, 12, 1, 12, tzinfo=UTC)
EARLIER = datetime(2010, 12, 1, 8, 26, tzinfo=UTC)

terms = Terms(
    products={
        "MUG": ListedProduct("Mug", 950, "GBP"),
        "CUP": ListedProduct("Cup", 400, "GBP"),
        "POT": ListedProduct("Pot", 2000, "EUR"),
        "OLD": ListedProduct("Old jug", 100, "GBP", discontinued=True),
    },
    customer=KnownCustomer("GB"),
    time=NOON,
)

place = PlaceOrder(
    order_id="42",
    customer_id="ada",
    lines=(
        WantedLine(sku="MUG", quantity=2),
        WantedLine(sku="CUP", quantity=1),
        WantedLine(sku="MUG", quantity=3, unit_price=800),
    ),
    payment_method="tok_approve",
)
placed = OrderPlaced(
    order_id="42",
    customer_id="ada",
    country="GB",
    lines=(
        OrderLine(sku="MUG", name="Mug", quantity=2, unit_price=950),
        OrderLine(sku="CUP", name="Cup", quantity=1, unit_price=400),
        OrderLine(sku="MUG", name="Mug", quantity=3, unit_price=800),
    ),
    total=4700,
    currency="GBP",
    payment_method="tok_approve",
    placed_at=NOON,
)
whole = Sale(placed_at=NOON, country="GB", currency="GBP", orders=1, units=6, amount=4700)
confirm = ConfirmOrder(order_id="42")
confirmed = OrderConfirmed(order_id="42", sale=whole)
cancel = CancelOrder(order_id="42", reason="changed my mind")
cancelled = OrderCancelled(order_id="42", reason="changed my mind")
mark_dispatched = MarkDispatched(order_id="42", carrier="Royal Mail", tracking="RM1")
dispatched = OrderDispatched(order_id="42", carrier="Royal Mail", tracking="RM1")
approve = ApproveCancellation(order_id="42", reason="changed my mind")
cancellation_requested = CancellationRequested(order_id="42", reason="changed my mind")
cancellation_refused = CancellationRefused(order_id="42", reason="dispatched")
abandon = AbandonOrder(order_id="42", reason="the provider lost the payment")
abandoned = OrderAbandoned(order_id="42", reason="the provider lost the payment")
resume = ResumeOrder(order_id="42")
resumed = OrderResumed(order_id="42")
complete = CompleteOrder(order_id="42")
completed = OrderCompleted(order_id="42")


def lines(**units: int) -> tuple[Units, ...]:
    return tuple(Units(sku=sku, quantity=quantity) for sku, quantity in units.items())


def request(return_id: str, **units: int) -> RequestReturn:
    return RequestReturn(order_id="42", return_id=return_id, lines=lines(**units), reason="chipped")


def requested(return_id: str, refund: int, **units: int) -> ReturnRequested:
    return ReturnRequested(
        order_id="42",
        return_id=return_id,
        lines=lines(**units),
        reason="chipped",
        refund=refund,
        currency="GBP",
    )


def accept(return_id: str) -> AcceptReturn:
    return AcceptReturn(order_id="42", return_id=return_id)


def accepted(return_id: str, refund: int, *, all_back: bool = False, **units: int) -> ReturnAccepted:
    sale = replace(whole, orders=1 if all_back else 0, units=sum(units.values()), amount=refund)
    return ReturnAccepted(
        order_id="42", return_id=return_id, lines=lines(**units), refund=refund, sale=sale, whole=all_back
    )


def withdraw(return_id: str) -> WithdrawReturn:
    return WithdrawReturn(order_id="42", return_id=return_id)


def withdrawn(return_id: str) -> ReturnWithdrawn:
    return ReturnWithdrawn(order_id="42", return_id=return_id)


def refuse(return_id: str) -> RefuseReturn:
    return RefuseReturn(order_id="42", return_id=return_id, reason="worn")


def refused(return_id: str) -> ReturnRefused:
    return ReturnRefused(order_id="42", return_id=return_id, reason="worn")


def came(sku: str, restocked: int, written_off: int = 0) -> ReceivedLine:
    return ReceivedLine(sku=sku, restocked=restocked, written_off=written_off)


def receive(return_id: str | None = None, *what: ReceivedLine) -> ReceiveReturn:
    """What came; everything that was requested if it is not said."""
    return ReceiveReturn(order_id="42", return_id=return_id, lines=what or None)


def received(return_id: str, refund: int, *what: ReceivedLine) -> ReturnReceived:
    return ReturnReceived(order_id="42", return_id=return_id, lines=what, refund=refund, currency="GBP")


sent = [placed, confirmed, dispatched]
delivered = [*sent, completed]
all_back = [
    *delivered,
    requested("r1", 4700, CUP=1, MUG=5),
    accepted("r1", 4700, all_back=True, CUP=1, MUG=5),
]
