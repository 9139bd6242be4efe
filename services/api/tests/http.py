"""httpx for plain HTTP: its own functions load every certificate authority anew at each call.

The time limit is long, so that no test fails because the machine is busy.
"""

import ssl
from functools import partial

import httpx

TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SECONDS = 60

Client = partial(httpx.Client, verify=TRUST, timeout=SECONDS)
delete = partial(httpx.delete, verify=TRUST, timeout=SECONDS)
get = partial(httpx.get, verify=TRUST, timeout=SECONDS)
patch = partial(httpx.patch, verify=TRUST, timeout=SECONDS)
post = partial(httpx.post, verify=TRUST, timeout=SECONDS)
put = partial(httpx.put, verify=TRUST, timeout=SECONDS)
stream = partial(httpx.stream, verify=TRUST, timeout=SECONDS)
