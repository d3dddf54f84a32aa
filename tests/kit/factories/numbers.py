"""The numbers that make names and keys of rows unique."""

import itertools

numbers = itertools.count(1)
