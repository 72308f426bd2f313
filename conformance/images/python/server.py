"""Echoes every message. Compresses where the client offers it. /health is plain HTTP."""

import asyncio
import http
import signal

import websockets


async def echo(socket):
    if socket.path == "/close/4001":
        await socket.close(4001, "as asked")
    async for message in socket:
        await socket.send(message)


async def plain(path, headers):
    if path == "/health":
        return http.HTTPStatus.OK, [], b"python is healthy\n"


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options = {"process_request": plain, "subprotocols": ["chat"], "max_size": None}
    async with websockets.serve(echo, "0.0.0.0", 8080, **options):
        await stop.wait()


asyncio.run(main())
