"""What watches Orderfold: configuration of servers, and dashboards as code."""
