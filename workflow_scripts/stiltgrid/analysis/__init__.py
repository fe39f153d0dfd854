"""Everything computed from the one tidy score table: gains, intervals, tests, selection, benchmark averages.

Imports no torch. What is drawn or exported from these tables is in `reporting`; research questions that need cells of
their own are in `studies`.
"""
