"""Run the checks: `python -m tools.doctor [--ask-shell]`. See `HostOfContainer` for the option."""

import sys

from tools.doctor.diagnosis import main

sys.exit(main(asks_shell="--ask-shell" in sys.argv))
