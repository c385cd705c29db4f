"""A client of the Python package websockets: sends each line of its input and prints the answer to each.

Usage: websocket_client.py URL [CERTIFICATE]
"""
import asyncio
import ssl
import sys

from websockets.asyncio.client import connect

TIMEOUT_SECONDS = 60


async def main(url, certificate=None):
    context = ssl.create_default_context(cafile=certificate) if certificate else None
    async with connect(url, subprotocols=["parlance"], ssl=context) as socket:
        print(socket.subprotocol)
        for line in sys.stdin:
            await socket.send(line.rstrip("\n"))
            print(await asyncio.wait_for(socket.recv(), TIMEOUT_SECONDS))


asyncio.run(main(*sys.argv[1:]))
