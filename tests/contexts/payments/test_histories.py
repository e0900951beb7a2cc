"""Whatever is late, lost, done by hand or sent again: in the end payments know what the provider did."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.messages import Rejected
from contexts.payments.answers import answered
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    CheckPayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.decider import Payment, Undecided, decide, evolve, intents, question
from contexts.payments.events import CaptureRequested, PaymentRequested, RefundRequested, VoidRequested
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
from contexts.payments.reconciliation import differences

ORDER = "42"
TOTAL = 950


class TimedOut(Exception):
    """No answer came; what was asked may have been done, or may be done later."""


class Provider:
    """One order's payment in a provider's books; each key is carried out once."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.status: ProviderStatus | None = None
        self.amount = chance.choice([TOTAL, TOTAL, TOTAL, 1])
        self.refunds: dict[str, int] = {}
        self.given: dict[str, Answer] = {}
        self.on_their_way: list[Request] = []
        self.charges = 0
        self.reliable = False

    def ask(self, request: Request) -> Answer:
        """What the caller receives; raises TimedOut."""
        fate = "answered" if self.reliable else self.chance.choice(["answered", "answered", "lost", "late"])
        if fate == "late":
            self.on_their_way.append(request)
            raise TimedOut
        answer = self._once(request)
        if fate == "lost":
            raise TimedOut
        return answer

    def deliver(self) -> None:
        """A request that its sender has given up arrives."""
        if self.on_their_way:
            self._once(self.on_their_way.pop(self.chance.randrange(len(self.on_their_way))))

    def make_up_its_mind(self) -> None:
        if self.status is ProviderStatus.PENDING:
            self.status = self.chance.choice([ProviderStatus.AUTHORIZED, ProviderStatus.DECLINED])

    def by_hand(self) -> None:
        """Somebody works in the dashboard."""
        if self.status is ProviderStatus.AUTHORIZED:
            self.status = self.chance.choice([ProviderStatus.VOIDED, ProviderStatus.CAPTURED])
            self.charges += self.status is ProviderStatus.CAPTURED
        elif self.status is ProviderStatus.CAPTURED and sum(self.refunds.values()) < self.amount:
            self.refunds[f"d{len(self.refunds)}"] = 1

    def payment(self) -> ProviderPayment | None:
        if self.status is None:
            return None
        return ProviderPayment(
            order_id=ORDER,
            status=self.status,
            amount=self.amount,
            currency="GBP",
            captured=self.amount if self.status is ProviderStatus.CAPTURED else 0,
            refunds=tuple(Refund(name, amount) for name, amount in self.refunds.items()),
        )

    def _once(self, request: Request) -> Answer:
        if isinstance(request, StatusRequest):
            return self.payment() or Missing()
        if request.idempotency_key in self.given:
            return self.given[request.idempotency_key]
        answer = self._do(request)
        if isinstance(answer, Approved | Declined | Captured | Done):
            self.given[request.idempotency_key] = answer
        return answer

    def _do(self, request: Request) -> Answer:  # noqa: PLR0911 - a table
        match request, self.status:
            case PaymentRequested(), None:
                self.status = self.chance.choice(
                    [ProviderStatus.AUTHORIZED, ProviderStatus.PENDING, ProviderStatus.DECLINED]
                )
                return self._do(request)
            case PaymentRequested(), ProviderStatus.AUTHORIZED:
                return Approved("p", self.amount, "GBP")
            case PaymentRequested(), ProviderStatus.PENDING:
                return Pending()
            case PaymentRequested(), ProviderStatus.DECLINED:
                return Declined("no money")
            case _, None:
                return Missing()
            case VoidRequested(), ProviderStatus.PENDING:
                return Pending()
            case VoidRequested(), ProviderStatus.AUTHORIZED | ProviderStatus.VOIDED | ProviderStatus.DECLINED:
                self.status = (
                    ProviderStatus.VOIDED if self.status is ProviderStatus.AUTHORIZED else self.status
                )
                return Done()
            case CaptureRequested(), ProviderStatus.AUTHORIZED:
                self.status, self.charges = ProviderStatus.CAPTURED, self.charges + 1
                return Captured(self.amount, "GBP")
            case RefundRequested(return_id=name, amount=amount), ProviderStatus.CAPTURED if (
                name not in self.refunds and sum(self.refunds.values()) + amount <= self.amount
            ):
                self.refunds[name] = amount
                return Done()
            case _:
                return Impossible(f"the payment is {self.status}")


class Payments:
    """What the service does, with a store that a crash leaves as it is."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.payment = Payment()

    def send(self, command: PaymentsCommand) -> bool | None:
        """Whether it was accepted; None if it has to be sent again."""
        answers: dict[type[Request], Answer] = {}
        try:
            while (request := question(self.payment, command, answers)) is not None:
                for intent in intents(self.payment, command, request):
                    self.payment = evolve(self.payment, intent)
                answer = self.provider.ask(request)
                answers[type(request)] = answer
                for fact in answered(self.payment, request, answer):
                    self.payment = evolve(self.payment, fact)
            for fact in decide(self.payment, command, answers):
                self.payment = evolve(self.payment, fact)
        except (TimedOut, Undecided):
            return None
        except Rejected:
            return False
        return True


AUTHORIZE = AuthorizePayment(order_id=ORDER, amount=TOTAL, currency="GBP", payment_method="tok")
CHECK = CheckPayment(order_id=ORDER)
VOID = VoidPayment(order_id=ORDER)
COMMANDS: list[PaymentsCommand] = [
    CapturePayment(order_id=ORDER),
    VOID,
    RefundPayment(order_id=ORDER, return_id="r1", amount=400),
    RefundPayment(order_id=ORDER, return_id="r2", amount=550),
    CHECK,
]


@settings(max_examples=1_500, deadline=None)
@given(seed=st.integers(0, 2**48), given_up=st.booleans())
def test_in_the_end_the_books_agree_and_nothing_that_was_given_up_is_held(
    seed: int, *, given_up: bool
) -> None:
    chance = Random(seed)
    provider = Provider(chance)
    payments = Payments(provider)
    payments.send(AUTHORIZE)
    others = [provider.deliver, provider.make_up_its_mind, provider.by_hand]
    for _ in range(chance.randint(0, 12)):
        if chance.random() < 0.6:
            payments.send(chance.choice([AUTHORIZE, *COMMANDS]))
        else:
            chance.choice(others)()

    voided = payments.send(VOID) if given_up else False
    while provider.on_their_way:
        provider.deliver()
    while provider.status is ProviderStatus.PENDING:
        provider.make_up_its_mind()
    provider.reliable = True
    if given_up and voided is None:
        voided = payments.send(VOID)
        assert voided is not None
    # A webhook, or the comparison of the books.
    if payments.payment.asked:
        payments.send(CHECK)

    provider_payment = provider.payment()
    assert provider.charges <= 1
    if voided:
        assert provider_payment is None or not provider_payment.held
    if not payments.payment.mismatch:
        assert differences(payments.payment, provider_payment) == frozenset()
    elif provider_payment is not None:
        assert not provider_payment.held
