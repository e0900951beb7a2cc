"""`python -m infra.deploy.observability.grafana`: write the dashboards' files anew."""

from __future__ import annotations

from infra.deploy.observability.grafana.catalogue import write_all

write_all()
