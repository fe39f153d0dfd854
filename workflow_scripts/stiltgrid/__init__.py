"""Stiltgrid: which intermediate tasks improve zero-shot cross-lingual transfer, and by how much."""

__version__ = "0.1.0"
