"""httpx for plain HTTP: its own functions load every certificate authority anew at each call.

The time limit is long, so that no test fails because the machine is busy.
"""

import ssl
from functools import partial
from typing import Any

import httpx

options: Any = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "timeout": 60}

Client = partial(httpx.Client, **options)
delete = partial(httpx.delete, **options)
get = partial(httpx.get, **options)
patch = partial(httpx.patch, **options)
post = partial(httpx.post, **options)
put = partial(httpx.put, **options)
stream = partial(httpx.stream, **options)
