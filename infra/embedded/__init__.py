"""The whole stack on one machine: servers and processes, started and supervised."""
