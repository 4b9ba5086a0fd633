"""What `experiments.measure.benchmark` measures, each program in its own process."""
