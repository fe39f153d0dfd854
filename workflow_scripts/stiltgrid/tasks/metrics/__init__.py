"""Metrics as pure functions on lists, without torch or tables. Each names the evaluator that it follows."""
