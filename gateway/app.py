"""The gateway put together: every route, who may use it, and what it works with."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from litestar import Litestar, Router

from gateway.auth.jwks import KeySet
from gateway.auth.jwks_source import key_source
from gateway.auth.roles import role_names
from gateway.auth.tokens import TokenVerifier
from gateway.context_client import NatsLink
from gateway.customers import customers
from gateway.dependencies import Services
from gateway.fulfilments import fulfilments
from gateway.health import health
from gateway.http.access_log import AccessLog
from gateway.http.cors import Cors
from gateway.http.exception_handlers import HANDLERS
from gateway.http.guard import Guard, refuse_undeclared
from gateway.http.middleware import Front
from gateway.metrics import observation
from gateway.monitoring.readiness import GatewayReadiness
from gateway.monitoring.request_metrics import Metrics
from gateway.openapi.routes import docs
from gateway.orders import orders
from gateway.products import products
from gateway.rate_limits.quota import limits
from gateway.rate_limits.replication import LimitExchange
from gateway.sales import sales
from gateway.shipments import shipments
from gateway.stock import stock
from gateway.webhooks import webhooks
from infra.aio import cancel_all
from infra.mongo import Mongo
from infra.observability.health.monitor import Monitor
from infra.security.webhook_signature import read_secret
from infra.settings import Settings
from read_models.monitoring.metrics import ReadModelFigures
from read_models.projection.documents import ReadModels

ROUTES: tuple[Router, ...] = (
    products,
    stock,
    customers,
    orders,
    shipments,
    sales,
    fulfilments,
    webhooks,
    health,
    observation,
    docs,
)


def make_services(settings: Settings) -> Services:
    """Everything the routes work with, not yet connected; raises what `gateway/__main__.py` says."""
    keys = KeySet(key_source(settings.jwks, settings.oidc_issuer), settings.jwks_max_age)
    mongo = Mongo(settings)
    models = ReadModels(mongo)
    contexts = NatsLink(settings)
    monitor = Monitor()
    monitor.look(contexts.connections.look)
    ReadModelFigures(models, lambda: contexts.logs).join(monitor)
    return Services(
        contexts=contexts,
        mongo=mongo,
        models=models,
        keys=keys,
        tokens=TokenVerifier(keys, settings.jwt_issuer, settings.jwt_audience, role_names(settings)),
        metrics=Metrics(),
        monitor=monitor,
        readiness=GatewayReadiness(contexts, mongo.check, models, keys),
        limits=limits(reads=settings.limit_reads, commands=settings.limit_commands, open=settings.limit_open),
        proxies=settings.proxies,
        webhook_key=None if settings.webhook_secret is None else read_secret(settings.webhook_secret),
    )


def make_litestar(services: Services) -> Litestar:
    """The routes, each behind the guard; raises AccessUndeclared."""

    @contextlib.asynccontextmanager
    async def connected(_: Litestar) -> AsyncIterator[None]:
        exchange = LimitExchange(services.limits, services.contexts)
        running = (services.keys.run(), services.contexts.run(), exchange.run())
        tasks = [asyncio.create_task(each) for each in running]
        try:
            yield
        finally:
            await cancel_all(*tasks)
            await services.contexts.close()
            services.mongo.close()

    app = Litestar(
        route_handlers=ROUTES,
        middleware=[Guard],
        exception_handlers=HANDLERS,
        lifespan=[connected],
        openapi_config=None,
        logging_config=None,
    )
    refuse_undeclared(app.routes)
    return app


def make_front(settings: Settings) -> Front:
    """The whole gateway as one ASGI application."""
    services = make_services(settings)
    return Front(
        make_litestar(services), services, AccessLog(settings.access_log), Cors(settings.cors_origins)
    )
