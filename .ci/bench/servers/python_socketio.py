"""python-socketio: `echo` and `aecho` come back, `all` goes to everybody, /page is a page.

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

    class Page(tornado.web.RequestHandler):
        def get(self):
            self.write("a page")

    handler = socketio.get_tornado_handler(server)
    tornado.web.Application([("/socket.io/", handler), ("/page", Page)]).listen(PORT, HOST, backlog=1024)
    await asyncio.Event().wait()


async def serve_aiohttp():
    from aiohttp import web

    async def page(request):
        return web.Response(text="a page")

    application = web.Application()
    application.router.add_get("/page", page)
    server.attach(application)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, HOST, PORT, backlog=1024).start()
    await asyncio.Event().wait()


async def page(scope, receive, send):
    await receive()
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a page"})


if FRAMEWORK == "uvicorn":
    import uvicorn

    uvicorn.run(socketio.ASGIApp(server, page), host=HOST, port=PORT, log_level="error", loop="uvloop")
else:
    asyncio.run(serve_tornado() if FRAMEWORK == "tornado" else serve_aiohttp())
