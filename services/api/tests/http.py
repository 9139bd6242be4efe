"""httpx for plain HTTP: its own functions load every certificate authority anew at each call."""

import ssl
from functools import partial

import httpx

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

Client = partial(httpx.Client, verify=NO_AUTHORITIES)
delete = partial(httpx.delete, verify=NO_AUTHORITIES)
get = partial(httpx.get, verify=NO_AUTHORITIES)
patch = partial(httpx.patch, verify=NO_AUTHORITIES)
post = partial(httpx.post, verify=NO_AUTHORITIES)
put = partial(httpx.put, verify=NO_AUTHORITIES)
stream = partial(httpx.stream, verify=NO_AUTHORITIES)
