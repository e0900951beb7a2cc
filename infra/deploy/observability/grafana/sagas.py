"""Sagas: how far orders are on their way, which of them wait, and for what."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.panels import Board, Query, graph, lines, number, quantile, rate

SENT = (
    'command=~"ReserveStock|ReleaseReservation|ShipReservation|ReturnStock|AuthorizePayment|CapturePayment|'
    "VoidPayment|RefundPayment|ConfirmOrder|CancelOrder|MarkDispatched|CompleteOrder|AcceptReturn|"
    'CreateShipment|CancelShipment"'
)
"""What the saga sends; clients send CancelOrder, too."""


def sagas() -> Dashboard:
    """The saga fulfilment, and the payment provider it depends on."""
    board = Board(
        "sagas", "Orderfold: sagas", "Fulfilments by stage and age, their commands, payments, timers."
    )
    board.row(
        "Fulfilments",
        number(
            "Stuck",
            "Fulfilments that wait for an operator, who retries, or abandons and settles them.",
            "none",
            "max(orderfold_fulfilments_stuck)",
            worrying=1,
        ),
        number(
            "Under way",
            "Fulfilments that have not ended.",
            "none",
            'sum(stage:orderfold_fulfilments:max{stage!~"completed|cancelled|settled"})',
        ),
        number(
            "Leaders",
            "Processes that run the saga: one leads, others stand by.",
            "none",
            'sum(orderfold_leading{context="fulfilment"})',
            good=1,
        ),
        number(
            "Timers set",
            "Timers put on the clock in a minute: most payments are answered before theirs is.",
            "opm",
            f"60 * {rate('orderfold_timers_set_total')}",
        ),
        number(
            "Timers fired",
            "Timers that rang in a minute: payments that were not answered in time.",
            "opm",
            f"60 * {rate('orderfold_timers_fired_total')}",
        ),
        number(
            "Provider",
            "99 of 100 requests to the payment provider are answered within this time.",
            "s",
            quantile(0.99, "orderfold_provider_request_seconds"),
            worrying=2,
        ),
    )
    board.row(
        "Stages",
        graph(
            "Fulfilments by stage",
            "How many are at each stage; those that have ended are left out.",
            "none",
            Query(
                'stage:orderfold_fulfilments:max{stage!~"completed|cancelled|settled"}',
                "{{stage}}",
            ),
            width=12,
            stacked=True,
        ),
        graph(
            "Longest at a stage",
            "How long the oldest fulfilment has been where it is.",
            "s",
            Query("stage:orderfold_fulfilment_oldest_seconds:max", "{{stage}}"),
            width=12,
        ),
    )
    board.row(
        "The saga's commands",
        graph(
            "Carried out",
            "Commands of the kinds the saga sends, a second.",
            "ops",
            Query(
                rate("orderfold_commands_total", "command", where=f'{SENT}, outcome="accepted"'),
                "{{command}}",
            ),
            stacked=True,
        ),
        graph(
            "Not carried out",
            "Refused a second, by why: those that may be carried out later are sent again.",
            "ops",
            Query(
                rate(
                    "orderfold_commands_total",
                    "command",
                    "outcome",
                    where=f'{SENT}, outcome!~"accepted|repeated"',
                ),
                "{{command}} {{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Time to carry out",
            "99 of 100 are answered within this time.",
            "s",
            Query(quantile(0.99, "orderfold_command_seconds", "command", where=SENT), "{{command}}"),
        ),
    )
    board.row(
        "Payment provider and timers",
        graph(
            "Requests to the provider",
            "Requests a second, by operation and outcome.",
            "reqps",
            Query(
                rate("orderfold_provider_requests_total", "operation", "outcome"), "{{operation}} {{outcome}}"
            ),
            stacked=True,
        ),
        graph(
            "Time the provider takes",
            "99 of 100 requests are answered within this time.",
            "s",
            Query(quantile(0.99, "orderfold_provider_request_seconds", "operation"), "{{operation}}"),
        ),
        graph(
            "Timers",
            "Set and fired a minute, by context.",
            "opm",
            Query(f"60 * {rate('orderfold_timers_set_total', 'context')}", "{{context}} set"),
            Query(f"60 * {rate('orderfold_timers_fired_total', 'context')}", "{{context}} fired"),
        ),
    )
    board.row(
        "Said by the saga",
        lines(
            "Stuck orders and other trouble",
            "Each names its order and its correlation id; the trace leads to Tempo.",
            '{service_name="fulfilment"} | json | level=~"warning|error|critical"',
        ),
    )
    return board.built()
