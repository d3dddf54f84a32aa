"""The dashboard: what each of its parts shows, and how they stay fresh."""
