"""What the gateway's routes work with: the contexts, the read models and the keys of bearer tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from gateway.auth.jwks import KeySet
from gateway.auth.tokens import TokenVerifier
from gateway.context_client import NatsLink
from gateway.monitoring.readiness import GatewayReadiness
from gateway.monitoring.request_metrics import Metrics
from gateway.rate_limits.quota import Limits
from infra.mongo import Mongo
from infra.observability.health.monitor import Monitor
from read_models.projection.documents import ReadModels


@dataclass(frozen=True, slots=True)
class Services:
    """Each of them may be away for a while; the gateway then answers with a problem and goes on."""

    contexts: NatsLink
    mongo: Mongo
    models: ReadModels
    keys: KeySet
    tokens: TokenVerifier
    metrics: Metrics
    monitor: Monitor
    readiness: GatewayReadiness
    webhook_key: bytes | None
    limits: Limits
    proxies: int
    """How many of our own stand before the gateway."""
    under_way: Counter[str] = field(default_factory=Counter)
    """Requests of each client that are not answered yet."""
