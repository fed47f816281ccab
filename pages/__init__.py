"""Reports: pure renderers of results. Each module here is one format."""
