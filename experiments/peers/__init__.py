"""The programs that `experiments.benchmark` measures, each in a process of its own."""
