"""python -m tests.each_command COMMAND ...: commands of flask in one process, up to the first that fails."""

import sys

from flask.cli import FlaskGroup

for command in sys.argv[1:]:
    FlaskGroup().main(command.split(), standalone_mode=False)
