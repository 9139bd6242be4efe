"""Run several `flask` commands in one process, and stop at the first failure.

Usage: python -m tests.support.each_command COMMAND ...
"""

import sys

from flask.cli import FlaskGroup

for command in sys.argv[1:]:
    FlaskGroup().main(command.split(), standalone_mode=False)
