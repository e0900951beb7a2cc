"""The sandbox payment provider: a payment service over HTTP for development and tests."""
