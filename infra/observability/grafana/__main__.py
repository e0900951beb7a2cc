"""`python -m infra.observability.grafana`: write the dashboards' files anew."""

from __future__ import annotations

from infra.observability.grafana.catalogue import write_all

write_all()
