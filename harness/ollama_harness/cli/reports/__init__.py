"""What the commands print: results, routes, a diagnosis, a decision."""
