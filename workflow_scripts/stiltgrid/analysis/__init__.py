"""Everything computed from the one tidy score table: gains, intervals, tests, selection, benchmark averages.

Does not import torch. Plots and exports of these tables are in `reporting`; research questions that need cells of
their own are in `studies`.
"""
