"""The overview: do orders come in, are they seen, and is anything wrong."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.panels import (
    Board,
    Query,
    graph,
    lines,
    listing,
    number,
    quantile,
    rate,
)

PLACED = 'context="ordering", command="PlaceOrder", outcome="accepted"'
CLIENTS = 'route!~"/health/.*|/metrics"'
READY = 'model="orders"'
TROUBLE = '{service_name=~".+"} | json | level=~"warning|error|critical"'


def overview() -> Dashboard:
    """What one looks at first."""
    board = Board("overview", "Orderfold: overview", "Orders, errors and how far behind anything is.")
    board.row(
        "Now",
        number(
            "Orders a minute",
            "Orders accepted, whatever becomes of them.",
            "opm",
            f"60 * {rate('orderfold_commands_total', where=PLACED)}",
        ),
        number(
            "Accepted to queryable",
            "99 of 100 orders can be asked for within this time after they were accepted.",
            "s",
            quantile(0.99, "orderfold_projection_delay_seconds", where=READY),
            worrying=2,
        ),
        number(
            "Requests failed",
            "Answers that were errors of ours (5xx), of all requests of clients in five minutes.",
            "percentunit",
            "orderfold_http_errors:ratio_rate5m",
            worrying=0.02,
        ),
        number(
            "Orders stuck",
            "Fulfilments that wait for an operator: a command of theirs failed.",
            "none",
            "max(orderfold_fulfilments_stuck)",
            worrying=1,
        ),
        number(
            "Dead letters",
            "Events that wait because one of their document could not be applied.",
            "none",
            "sum(model:orderfold_dead_letters:max)",
            worrying=1,
        ),
        number(
            "Alerts",
            "Alerts that fire now; the table below names them.",
            "none",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            worrying=1,
        ),
    )
    board.row(
        "Orders and requests",
        graph(
            "Orders a minute",
            "Orders placed, and what became of others: confirmed, completed, cancelled.",
            "opm",
            *(
                Query(
                    "60 * "
                    + rate(
                        "orderfold_commands_total",
                        where=f'context="ordering", command="{command}", outcome="accepted"',
                    ),
                    legend,
                )
                for command, legend in (
                    ("PlaceOrder", "placed"),
                    ("ConfirmOrder", "confirmed"),
                    ("CompleteOrder", "completed"),
                    ("CancelOrder", "cancelled"),
                )
            ),
        ),
        graph(
            "Requests by route",
            "Requests of clients a second.",
            "reqps",
            Query(
                rate("orderfold_http_requests_total", "method", "route", where=CLIENTS),
                "{{method}} {{route}}",
            ),
            stacked=True,
        ),
        graph(
            "Requests by status",
            "Answers a second; 4xx are refusals, 5xx failures.",
            "reqps",
            Query(rate("orderfold_http_requests_total", "status", where=CLIENTS), "{{status}}"),
            stacked=True,
        ),
        graph(
            "Time to answer a request",
            "99 of 100 requests are answered within this time.",
            "s",
            Query(
                quantile(0.99, "orderfold_http_request_seconds", "method", "route", where=CLIENTS),
                "{{method}} {{route}}",
            ),
        ),
        graph(
            "Commands by context",
            "Commands accepted a second, the saga's included.",
            "ops",
            Query(rate("orderfold_commands_total", "context", where='outcome="accepted"'), "{{context}}"),
            stacked=True,
        ),
        graph(
            "Commands not carried out",
            "Commands refused a second, by why: rejected by a rule, unavailable, behind, busy …",
            "ops",
            Query(
                rate("orderfold_commands_total", "context", "outcome", where='outcome!~"accepted|repeated"'),
                "{{context}} {{outcome}}",
            ),
            stacked=True,
        ),
    )
    board.row(
        "Time from accepted to queryable",
        graph(
            "Accepted to queryable",
            "From an event's time to its commit in the read model of orders.",
            "s",
            *(
                Query(quantile(share, "orderfold_projection_delay_seconds", where=READY), name)
                for share, name in ((0.5, "half"), (0.95, "95 of 100"), (0.99, "99 of 100"))
            ),
        ),
        graph(
            "Read models behind",
            "Age of the oldest event a read model has not projected yet.",
            "s",
            Query("model:orderfold_projector_lag_seconds:max", "{{model}}"),
        ),
        graph(
            "Relays behind",
            "Age of the oldest event of a context that is not in JetStream yet.",
            "s",
            Query("context:orderfold_relay_oldest_seconds:max", "{{context}}"),
        ),
    )
    board.row(
        "Processes",
        graph(
            "Processes that answer",
            "How many processes of a service Prometheus reaches.",
            "none",
            Query('sum by (service) (up{job="orderfold"})', "{{service}}"),
            width=6,
        ),
        graph(
            "Processor time",
            "Seconds of a core each process uses in a second.",
            "none",
            Query(
                'rate(process_cpu_seconds_total{job="orderfold"}[$__rate_interval])',
                "{{service}} {{instance}}",
            ),
            width=6,
        ),
        graph(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            Query('process_resident_memory_bytes{job="orderfold"}', "{{service}} {{instance}}"),
            width=6,
        ),
        graph(
            "Event loop",
            "How long a process's event loop took to answer a scrape: above a second it hangs.",
            "s",
            Query("max by (service, instance) (orderfold_event_loop_seconds)", "{{service}} {{instance}}"),
            width=6,
        ),
    )
    board.row(
        "Trouble",
        listing("Alerts", "Alerts that fire now.", 'ALERTS{alertstate="firing"}', width=12),
        lines("Warnings and errors", "What processes complained about, the latest first.", TROUBLE, width=12),
    )
    return board.built()
