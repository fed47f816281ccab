"""Requests as Go reads them: the head, the target, and JSON into typed fields, with its errors in their exact words."""
