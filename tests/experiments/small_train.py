"""`experiments.train` with small networks: the same program, in a third of the time.

python -m tests.experiments.small_train [flags]
"""

from experiments import cli, train
from tests import small

if __name__ == "__main__":
    small.install()
    cli.run(train.main)
