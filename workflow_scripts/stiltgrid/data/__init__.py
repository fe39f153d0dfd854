"""Sources of rows and text (hub, local folder, mini-lab), and adapters for data sets of a special form.

Rows have the columns of their data set. Turning them into examples of a family is the work of `tasks` and
`preparation`.
"""
