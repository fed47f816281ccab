"""The reports that commands print: results, routes, a diagnosis, a decision."""
