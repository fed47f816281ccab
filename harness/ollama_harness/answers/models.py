"""Names of models, whether they are there, and what they are able to do."""
