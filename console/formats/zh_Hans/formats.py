"""Chinese: thousands are separated as in English, because operators compare counts in both languages."""

THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
