"""Deletes here what was deleted on Reddit."""
