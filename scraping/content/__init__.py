"""Posts and comments: reading, storing, holding and exporting them."""
