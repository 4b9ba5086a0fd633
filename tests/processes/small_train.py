"""`experiments.train` with small networks: the same program, in a third of the time.

python -m tests.processes.small_train [flags]
"""

from experiments import train
from experiments.common import cli
from tests import small

if __name__ == "__main__":
    small.install()
    cli.run(train.main)
