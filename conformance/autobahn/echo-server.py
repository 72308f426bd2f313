"""The server behind the gateway in `cargo xtask autobahn`: sends every message back.

It is a correct server that is not ours: framing, closing and permessage-deflate are those of the
package `websockets`. It says its port in the first line, and ends with its standard input, so that it
never outlives who started it.
"""

import asyncio
import http
import logging
import os
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

# The longest message of the suite has 16 MiB.
LONGEST = 32 * 1024 * 1024


async def echo(connection):
    try:
        async for message in connection:
            await connection.send(message)
    except ConnectionClosed:
        # Most cases of the suite end like this; the suite judges how.
        pass


def answer(connection, request):
    """Health probes are no handshakes."""
    if request.path == "/health":
        return connection.respond(http.HTTPStatus.OK, "up\n")
    return None


async def main():
    # A broken handshake or frame is what the suite sends; it is no news.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    options = {"max_size": LONGEST, "ping_interval": None, "process_request": answer}
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        os._exit(0)


asyncio.run(main())
