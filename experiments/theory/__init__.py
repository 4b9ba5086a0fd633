"""The theory, measured: ``python -m experiments.theory.NAME``."""
