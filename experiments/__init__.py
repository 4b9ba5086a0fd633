"""Entry points: one short module a question (``python -m experiments.NAME``)."""

import gc

# Modules and traced programs are a great many objects that stay: to look through them
# for garbage again and again takes a second of a start.
gc.set_threshold(200_000)
