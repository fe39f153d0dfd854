"""The results page: one HTML file with the matrix, languages, examples, curves and tables of a grid.

Numbers are read from the tables and shown as they are. The page carries its data as JSON, its charts as Vega-Lite
specifications made by Altair, and the program that draws them, so that it opens without a network.
"""
