"""Every service as a process of its own that speaks TLS with everybody it connects to."""

from __future__ import annotations

from pathlib import Path

from tests.infra.nats.deployment import Deployment
from tests.infra.security.authority import Certificates
from tests.infra.security.nats_server import TlsNats


class TlsDeployment(Deployment):
    """`async with` starts it, waits until it is ready, and ends it."""

    def __init__(
        self, folder: Path, certificates: Certificates, mongo: str, postgres: str, password: Path
    ) -> None:
        """`mongo` and `postgres` are addresses of servers that speak TLS alone."""
        mongo_url = f"mongodb://{mongo}/?directConnection=true&tls=true"
        store = f"postgresql://{{context}}@{postgres}/{{context}}?sslmode=verify-full"
        super().__init__(
            folder,
            mongo_url,
            "orderfold_tls",
            store=store,
            store_password_file=str(password),
            key_store=store.format(context="customers").replace("/customers?", "/customer_keys?"),
            tls_ca=str(certificates.ca),
            gateway_tls_certificate=str(certificates.certificate("gateway")),
            gateway_tls_key=str(certificates.key("gateway")),
        )
        self.certificates = certificates
        self.nats = TlsNats(folder / "tls-nats", certificates)
        self._environment |= {
            "ORDERFOLD_NATS_URL": self.nats.url,
            "ORDERFOLD_NATS_MONITOR_URL": f"http://127.0.0.1:{self.nats.monitor_port}",
            # For the payment provider, which sends its webhooks by HTTPS.
            "SSL_CERT_FILE": str(certificates.ca),
        }

    @property
    def url(self) -> str:
        return super().url.replace("http://", "https://")

    def environment(self, user: str) -> dict[str, str]:
        certificates = self.certificates
        return {
            **self._environment,
            "ORDERFOLD_NATS_CREDENTIALS": str(self.nats.keys / f"{user}.nk"),
            "ORDERFOLD_TLS_CERTIFICATE": str(certificates.certificate(user)),
            "ORDERFOLD_TLS_KEY": str(certificates.key(user)),
        }
