"""Event stores and relays: what is written, how fast, and how far it is behind in JetStream."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.panels import (
    Board,
    Query,
    choice,
    graph,
    mean,
    number,
    quantile,
    rate,
)

CHOSEN = 'context=~"$context"'


def stores() -> Dashboard:
    """Each context's store, and the relay that publishes it."""
    board = Board(
        "stores",
        "Orderfold: event stores and relays",
        "Appends, commits and reads of each context's store, and its way to JetStream.",
        choice("context", "Context", "orderfold_store_head"),
    )
    board.row(
        "Now",
        number(
            "Events a second",
            "Events published, which is as many as are written.",
            "ops",
            rate("orderfold_relay_published_total", where=CHOSEN),
        ),
        number(
            "Commit",
            "99 of 100 commits, synced to disk, take at most this time.",
            "s",
            quantile(0.99, "orderfold_store_commit_seconds", where=CHOSEN),
            worrying=0.25,
        ),
        number(
            "Not in JetStream",
            "Positions from the last event in JetStream to the store's, of the worst context.",
            "none",
            f"max(context:orderfold_relay_lag_events:max{{{CHOSEN}}})",
            worrying=1_000,
        ),
        number(
            "Refills",
            "How often JetStream had lost events within the time shown, and was filled again.",
            "none",
            f"sum(increase(orderfold_relay_refills_total{{{CHOSEN}}}[$__range]))",
            worrying=1,
        ),
        number(
            "Holes",
            "Messages missing inside streams: `orderfold replay publish CONTEXT --anew` mends them.",
            "none",
            f"sum(max by (context) (orderfold_relay_holes{{{CHOSEN}}}))",
            worrying=1,
        ),
        number(
            "Contexts led",
            "Contexts of which a process relays the log.",
            "none",
            f"sum(orderfold_leading{{{CHOSEN}}})",
            good=1,
        ),
    )
    board.row(
        "Commands",
        graph(
            "Commands",
            "Accepted a second, by kind.",
            "ops",
            Query(
                rate("orderfold_commands_total", "context", "command", where=f'{CHOSEN}, outcome="accepted"'),
                "{{context}}.{{command}}",
            ),
            width=12,
            stacked=True,
        ),
        graph(
            "Time to carry out a command",
            "99 of 100 are answered within this time.",
            "s",
            Query(
                quantile(0.99, "orderfold_command_seconds", "context", "command", where=CHOSEN),
                "{{context}}.{{command}}",
            ),
            width=12,
        ),
    )
    board.row(
        "Stores",
        graph(
            "Last position",
            "Position of the last event of a context's store.",
            "none",
            Query(f"max by (context) (orderfold_store_head{{{CHOSEN}}})", "{{context}}"),
        ),
        graph(
            "Commits",
            "99 of 100 commits, synced to disk, take at most this time.",
            "s",
            Query(f"context:orderfold_store_commit_seconds:p99_5m{{{CHOSEN}}}", "{{context}}"),
        ),
        graph(
            "Reads",
            "99 of 100 reads, waiting for others included, take at most this time.",
            "s",
            Query(f"context:orderfold_store_read_seconds:p99_5m{{{CHOSEN}}}", "{{context}}"),
        ),
        graph(
            "Appends a commit",
            "How many appends share a commit: the busier a store, the more.",
            "none",
            Query(f"context:orderfold_group_commit_appends:mean_5m{{{CHOSEN}}}", "{{context}}"),
            width=12,
        ),
        graph(
            "Events an append",
            "Mean number of events written at once.",
            "none",
            Query(mean("orderfold_append_events", "context", where=CHOSEN), "{{context}}"),
            width=12,
        ),
    )
    board.row(
        "Relays",
        graph(
            "Published",
            "Events published to JetStream a second.",
            "ops",
            Query(rate("orderfold_relay_published_total", "context", where=CHOSEN), "{{context}}"),
            stacked=True,
        ),
        graph(
            "Behind, in events",
            "Positions from the last event in JetStream to the store's.",
            "none",
            Query(f"context:orderfold_relay_lag_events:max{{{CHOSEN}}}", "{{context}}"),
        ),
        graph(
            "Behind, in time",
            "Age of the oldest event not yet in JetStream.",
            "s",
            Query(f"context:orderfold_relay_oldest_seconds:max{{{CHOSEN}}}", "{{context}}"),
        ),
        graph(
            "Position",
            "Up to this position a context's events are in JetStream.",
            "none",
            Query(f"max by (context) (orderfold_relay_position{{{CHOSEN}}})", "{{context}}"),
        ),
        graph(
            "Conflicts and refills",
            "Conflicts: another relay had written in between. Refills: JetStream had lost events.",
            "none",
            Query(
                f"sum by (context) (increase(orderfold_relay_conflicts_total{{{CHOSEN}}}[$__rate_interval]))",
                "{{context}} conflicts",
            ),
            Query(
                f"sum by (context) (increase(orderfold_relay_refills_total{{{CHOSEN}}}[$__rate_interval]))",
                "{{context}} refills",
            ),
        ),
        graph(
            "Leaders",
            "Processes that lead a context: one, others stand by; none for a moment when one is replaced.",
            "none",
            Query(f"context:orderfold_leading:sum{{{CHOSEN}}}", "{{context}}"),
        ),
    )
    return board.built()
