"""python-socketio: `echo` and `aecho` come back, `all` goes to everybody.

python_socketio.py PORT tornado|aiohttp|uvicorn: uvicorn on uvloop, as it installs it; the others on asyncio.
"""

import asyncio
import sys

import socketio

PORT, HOST = int(sys.argv[1]), "127.0.0.1"
FRAMEWORK = sys.argv[2]

server = socketio.AsyncServer(async_mode="asgi" if FRAMEWORK == "uvicorn" else FRAMEWORK)


@server.event
async def echo(sid, *args):
    await server.emit("echo", args, to=sid)


@server.event
async def aecho(sid, *args):
    await server.emit("aecho", args, to=sid)


@server.on("all")
async def to_all(sid, *args):
    await server.emit("all", args)


async def serve_tornado():
    import tornado.web

    handler = socketio.get_tornado_handler(server)
    tornado.web.Application([("/socket.io/", handler)]).listen(PORT, HOST, backlog=1024)
    await asyncio.Event().wait()


async def serve_aiohttp():
    from aiohttp import web

    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT, backlog=1024).start()
    await asyncio.Event().wait()


if FRAMEWORK == "uvicorn":
    import uvicorn

    uvicorn.run(socketio.ASGIApp(server), host=HOST, port=PORT, log_level="error", loop="uvloop")
else:
    asyncio.run(serve_tornado() if FRAMEWORK == "tornado" else serve_aiohttp())
