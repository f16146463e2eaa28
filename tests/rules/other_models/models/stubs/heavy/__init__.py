"""Stands for a package that `scaled.py` imports and does not need."""
