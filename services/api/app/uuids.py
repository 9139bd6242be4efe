"""The one spelling of a UUID that is taken, of the several that there are."""

import re

CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
