"""This project measured: speed beside its peers, quality over seeds, reliability."""
