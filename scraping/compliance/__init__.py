"""What was deleted on Reddit is deleted here."""
