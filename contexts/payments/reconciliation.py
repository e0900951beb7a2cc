"""Where the provider's books and a payment's stream differ."""

from __future__ import annotations

from enum import StrEnum

from contexts.payments.decider import Payment, Status
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus


class Kind(StrEnum):
    """What differs."""

    HELD = "held"
    CAPTURED = "captured"
    REFUNDED = "refunded"
    CURRENCY = "currency"
    UNKNOWN_HERE = "unknown-here"
    """The provider has money for an order that no payment was asked for."""
    UNKNOWN_THERE = "unknown-there"
    """The provider does not know a payment whose money it should have."""


def differences(payment: Payment, provider_payment: ProviderPayment | None) -> frozenset[Kind]:
    """What differs, to the unit; none where the provider holds, captured and refunded what is known here."""
    held = payment.amount if payment.status is Status.AUTHORIZED else 0
    captured = payment.amount if payment.status is Status.CAPTURED else 0
    refunded = sum(payment.refunds.values())
    if provider_payment is None:
        return frozenset({Kind.UNKNOWN_THERE}) if held or captured else frozenset()
    if payment.status is Status.UNKNOWN and not payment.asked:
        moved = (
            provider_payment.held
            or provider_payment.captured
            or provider_payment.status is ProviderStatus.PENDING
        )
        return frozenset({Kind.UNKNOWN_HERE}) if moved else frozenset()
    found = {
        Kind.HELD: provider_payment.held != held,
        Kind.CAPTURED: provider_payment.captured != captured,
        Kind.REFUNDED: provider_payment.refunded != refunded,
        Kind.CURRENCY: bool(held or captured) and provider_payment.currency != payment.currency,
    }
    return frozenset(kind for kind, differs in found.items() if differs)
