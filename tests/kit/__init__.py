"""Tools of the tests: the minimal valid row of each model, Reddit's answers, and common steps."""
