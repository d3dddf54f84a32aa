"""Charts drawn on the server as inline SVG; one file for each chart."""
