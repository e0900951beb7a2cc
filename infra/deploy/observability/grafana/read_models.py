"""Read models: how fast events become documents, and how MongoDB takes it."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.panels import (
    Board,
    Query,
    choice,
    graph,
    lines,
    number,
    quantile,
    rate,
)

CHOSEN = 'model=~"$model"'


def read_models() -> Dashboard:
    """Each read model's projector, and MongoDB."""
    board = Board(
        "read-models",
        "Orderfold: read models",
        "Projectors: lag, throughput, transactions, dead letters; and MongoDB.",
        choice("model", "Read model", "orderfold_projected_events_total"),
    )
    board.row(
        "Now",
        number(
            "Events a second",
            "Events whose effect was committed.",
            "ops",
            rate("orderfold_projected_events_total", where=CHOSEN),
        ),
        number(
            "Accepted to queryable",
            "99 of 100 batches are in the read model within this time after their oldest event.",
            "s",
            quantile(0.99, "orderfold_projection_delay_seconds", where=CHOSEN),
            worrying=2,
        ),
        number(
            "Behind",
            "Age of the oldest event not yet projected, of the worst read model.",
            "s",
            f"max(model:orderfold_projector_lag_seconds:max{{{CHOSEN}}})",
            worrying=15,
        ),
        number(
            "Events behind",
            "Events not yet projected, of all chosen read models.",
            "none",
            f"sum(model:orderfold_projector_lag_events:max{{{CHOSEN}}})",
            worrying=10_000,
        ),
        number(
            "Dead letters",
            "Events that wait: `orderfold replay dead-letters list` names them.",
            "none",
            f"sum(model:orderfold_dead_letters:max{{{CHOSEN}}})",
            worrying=1,
        ),
        number(
            "MongoDB failures",
            "Commands to MongoDB that failed within the time shown.",
            "none",
            "sum(increase(orderfold_mongo_failures_total[$__range]))",
            worrying=1,
        ),
    )
    board.row(
        "Projectors",
        graph(
            "Projected",
            "Events a second.",
            "ops",
            Query(rate("orderfold_projected_events_total", "model", where=CHOSEN), "{{model}}"),
            stacked=True,
        ),
        graph(
            "Behind, in events",
            "Events a read model has not projected yet.",
            "none",
            Query(f"model:orderfold_projector_lag_events:max{{{CHOSEN}}}", "{{model}}"),
        ),
        graph(
            "Behind, in time",
            "Age of the oldest event a read model has not projected yet.",
            "s",
            Query(f"model:orderfold_projector_lag_seconds:max{{{CHOSEN}}}", "{{model}}"),
        ),
        graph(
            "Accepted to queryable",
            "99 of 100 batches are in the read model within this time after their oldest event.",
            "s",
            Query(f"model:orderfold_projection_delay_seconds:p99_5m{{{CHOSEN}}}", "{{model}}"),
        ),
        graph(
            "Transactions",
            "99 of 100 transactions of a projector take at most this time.",
            "s",
            Query(quantile(0.99, "orderfold_projector_commit_seconds", "model", where=CHOSEN), "{{model}}"),
        ),
        graph(
            "Dead letters",
            "Events that wait because one of their document could not be applied.",
            "none",
            Query(f"model:orderfold_dead_letters:max{{{CHOSEN}}}", "{{model}}"),
        ),
    )
    board.row(
        "MongoDB",
        graph(
            "Commands",
            "Commands a second.",
            "ops",
            Query(rate("orderfold_mongo_command_seconds_count", "command"), "{{command}}"),
            stacked=True,
        ),
        graph(
            "Time MongoDB takes",
            "99 of 100 commands are answered within this time.",
            "s",
            Query(quantile(0.99, "orderfold_mongo_command_seconds", "command"), "{{command}}"),
        ),
        graph(
            "Failures",
            "Commands that failed a minute.",
            "opm",
            Query(f"60 * {rate('orderfold_mongo_failures_total', 'command')}", "{{command}}"),
        ),
    )
    board.row(
        "Said by the projectors",
        lines(
            "Trouble",
            "Parked keys, and what projectors wait for.",
            '{service_name="read-models"} | json | level=~"warning|error|critical"',
        ),
    )
    return board.built()
