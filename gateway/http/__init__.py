"""How a request becomes a command or a query: middleware, headers, bodies, routes, problems, answers."""
