"""TLS, the signatures of webhooks, and the issuer of tokens for development."""
