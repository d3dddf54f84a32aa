"""Number formats, for languages in which Django's formats differ from the console's."""
