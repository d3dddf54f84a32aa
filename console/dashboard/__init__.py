"""The dashboard: the content of each part, and how the parts are updated."""
