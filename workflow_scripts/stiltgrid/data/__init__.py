"""Where rows come from: sources (hub, local folder, mini-lab), adapters for data sets of a special form, raw text.

Rows leave this package as a data set has them. How they become the examples of a family is in `tasks` and
`preparation`.
"""
