"""Grafana's dashboards, written as code: `python -m infra.observability.grafana` writes them as JSON."""
