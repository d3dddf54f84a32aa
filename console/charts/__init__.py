"""Drawings made on the server, as inline SVG; one file a chart."""
