"""python3 client.py URL: compressed and fragmented messages, there and back; says what it saw."""

import asyncio
import os
import sys

import websockets

LENGTHS = [0, 1, 125, 126, 65_535, 65_536, 1_000_000]


async def main(url):
    options = {"subprotocols": ["chat"], "max_size": None, "compression": "deflate"}
    async with websockets.connect(url, **options) as socket:
        extensions = [extension.name for extension in socket.extensions]
        assert extensions == ["permessage-deflate"], extensions
        assert socket.subprotocol == "chat", socket.subprotocol
        for length in LENGTHS:
            for message in ("x" * length, os.urandom(length)):
                await socket.send(message)
                assert await socket.recv() == message, length
        parts = ["one ", "message ", "in ", "five ", "fragments"]
        await socket.send(parts)
        assert await socket.recv() == "".join(parts)
        await (await socket.ping())
    assert socket.close_code == 1000, socket.close_code
    print("done")


asyncio.run(main(sys.argv[1]))
