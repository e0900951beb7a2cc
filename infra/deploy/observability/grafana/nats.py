"""NATS: who is connected, whether writes are synced, and what JetStream holds."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.panels import Board, Query, choice, graph, lines, number

CHOSEN = 'stream=~"$stream"'


def nats() -> Dashboard:
    """Connections and streams."""
    board = Board(
        "nats",
        "Orderfold: NATS",
        "Connections to nats-server, JetStream's streams, and whether it syncs what it stores.",
        choice("stream", "Stream", "orderfold_jetstream_messages"),
    )
    board.row(
        "Now",
        number(
            "Connections up",
            "Connections of our processes that are up.",
            "none",
            "sum(orderfold_nats_connected)",
            good=1,
        ),
        number(
            "Connections down",
            "Connections that are being restored; requests over them fail meanwhile.",
            "none",
            "count(orderfold_nats_connected == 0) or vector(0)",
            worrying=1,
        ),
        number(
            "Reconnects",
            "Connections restored within the time shown.",
            "none",
            "sum(increase(orderfold_nats_reconnects_total[$__range]))",
            worrying=1,
        ),
        number(
            "Synced at every write",
            "1: `sync_interval: always`; 0: a power failure loses what nats-server had acknowledged.",
            "none",
            "min(orderfold_nats_sync_always)",
            good=1,
        ),
        number(
            "Messages",
            "Messages in the chosen streams.",
            "short",
            f"sum(max by (stream) (orderfold_jetstream_messages{{{CHOSEN}}}))",
        ),
        number(
            "Stored",
            "Size of the chosen streams.",
            "bytes",
            f"sum(max by (stream) (orderfold_jetstream_bytes{{{CHOSEN}}}))",
        ),
    )
    board.row(
        "Connections",
        graph(
            "Connections",
            "Whether each connection is up: 1 or 0.",
            "none",
            Query("min by (service, connection) (orderfold_nats_connected)", "{{service}} {{connection}}"),
            width=12,
        ),
        graph(
            "Reconnects",
            "Connections restored, each time it was.",
            "none",
            Query(
                "sum by (service, connection) (increase(orderfold_nats_reconnects_total[$__rate_interval]))",
                "{{service}} {{connection}}",
            ),
            width=12,
        ),
    )
    board.row(
        "JetStream",
        graph(
            "Messages",
            "Messages of each stream: they only grow, unless it was wiped and is filled again.",
            "short",
            Query(f"max by (stream) (orderfold_jetstream_messages{{{CHOSEN}}})", "{{stream}}"),
        ),
        graph(
            "New messages",
            "Messages added to each stream a second.",
            "ops",
            Query(
                f"max by (stream) (deriv(orderfold_jetstream_messages{{{CHOSEN}}}[$__rate_interval])) > 0",
                "{{stream}}",
            ),
        ),
        graph(
            "Stored",
            "Size of each stream.",
            "bytes",
            Query(f"max by (stream) (orderfold_jetstream_bytes{{{CHOSEN}}})", "{{stream}}"),
        ),
    )
    board.row(
        "Said about NATS",
        lines(
            "Connections lost, streams refilled",
            "What our processes said about NATS and JetStream.",
            '{service_name=~".+"} |~ "(?i)nats|jetstream" | json | level=~"warning|error|critical"',
        ),
    )
    return board.built()
