"""What to do when TLS fails: its libraries tell what they saw, not what is to be set otherwise."""

from __future__ import annotations

import re

ADVICE = (
    (
        "certificate required",
        "the server wants a certificate: set ORDERFOLD_TLS_CERTIFICATE and ORDERFOLD_TLS_KEY",
    ),
    (
        "requires a valid client certificate",
        "the server wants a certificate: set ORDERFOLD_TLS_CERTIFICATE and ORDERFOLD_TLS_KEY",
    ),
    (
        r"alert (unknown ca|bad certificate|certificate unknown|decrypt error)",
        "the server does not believe ORDERFOLD_TLS_CERTIFICATE: is it of the authority the server believes?",
    ),
    (
        "alert certificate expired",
        "the server says ORDERFOLD_TLS_CERTIFICATE has expired: are the clocks right?",
    ),
    (
        r"hostname mismatch|ip address mismatch|does not match host name",
        "the server's certificate is for other names than the one in its URL",
    ),
    (
        "certificate verify failed",
        "the server's certificate is not believed: is ORDERFOLD_TLS_CA its authority's, or has it expired?",
    ),
    (
        r"alert protocol version|unsupported protocol|wrong version number|server does not support ssl",
        "the server does not speak TLS 1.3 there, and nothing older is spoken",
    ),
)


def advice(said: str) -> str:
    """What to do about an error, "" if it is none of TLS."""
    plain = said.lower().replace("_", " ")
    return next((fix for pattern, fix in ADVICE if re.search(pattern, plain)), "")


def explained(said: str) -> str:
    """An error with what to do about it, if it is one of TLS."""
    fix = advice(said)
    return f"{said}: {fix}" if fix else said
