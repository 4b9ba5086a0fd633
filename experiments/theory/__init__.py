"""The theory, measured: a program a claim (``python -m experiments.theory.NAME``)."""
