"""What the models need of the database beyond Django: cascades in the database, encrypted text."""
