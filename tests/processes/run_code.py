"""Runs code that is given as text: ``python -c``, with what it imports there already.

python -m tests.processes.run_code 'import sys; print(sys.argv[1])' 7
"""

import sys

if __name__ == "__main__":
    exec(sys.argv.pop(1))
