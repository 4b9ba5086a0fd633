"""Entry points: one short module a question (``python -m experiments.NAME``)."""
