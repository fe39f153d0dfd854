"""Metrics as pure functions on lists: no torch, no tables. Each names the evaluator that it follows."""
