"""Database features that Django lacks, such as cascades in the database and encrypted text."""
