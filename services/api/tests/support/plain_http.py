"""httpx for plain HTTP, without loading the certificate authorities at each call.

The time limit is long, so that no test fails because the machine is busy.
"""

import ssl
from functools import partial

import httpx

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SECONDS = 60

Client = partial(httpx.Client, verify=NO_AUTHORITIES, timeout=SECONDS)
delete = partial(httpx.delete, verify=NO_AUTHORITIES, timeout=SECONDS)
get = partial(httpx.get, verify=NO_AUTHORITIES, timeout=SECONDS)
patch = partial(httpx.patch, verify=NO_AUTHORITIES, timeout=SECONDS)
post = partial(httpx.post, verify=NO_AUTHORITIES, timeout=SECONDS)
put = partial(httpx.put, verify=NO_AUTHORITIES, timeout=SECONDS)
stream = partial(httpx.stream, verify=NO_AUTHORITIES, timeout=SECONDS)
