"""Makes the pages of docs/ that come from tables and measurements: one module for each page."""
