"""Chinese: Django puts no mark between groups of four digits; operators compare counts in both languages."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
