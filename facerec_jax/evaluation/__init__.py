"""How good is an encoder? Suites of examples, their errors, and a report."""
