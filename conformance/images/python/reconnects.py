"""python3 reconnects.py URL TIMES: opens a WebSocket again whenever it was closed, by the library's own
loop, and says what it saw; ends when the last one has opened."""

import asyncio
import sys

import websockets


async def main(url, times):
    opened = 0
    async for socket in websockets.connect(url):
        try:
            print("open:", await socket.recv(), flush=True)
            opened += 1
            if opened == times:
                await socket.close()
                return
            async for message in socket:
                print("message:", message, flush=True)
        except websockets.ConnectionClosed as closed:
            # Without a Close frame it is what a browser calls 1006.
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
            print("closed:", code, reason, flush=True)
            continue
        # 1000 and 1001 end the loop over messages without an exception.
        print("closed:", socket.close_code, socket.close_reason, flush=True)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
