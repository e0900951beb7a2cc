"""Grafana's dashboards as code: `python -m infra.deploy.observability.grafana` writes them as JSON."""
