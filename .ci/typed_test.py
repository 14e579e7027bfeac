"""A project's test with annotations: mypy and pyright accept it, strict, beside a copy of the test client."""

from tornado.httpserver import HTTPServer
from tornado.testing import gen_test  # pyright: ignore[reportUnknownVariableType]
from tornado.web import Application, create_signed_value

from socket_io import ConnectionRefused, SocketIOServer
from socket_io_testing import Client, SocketIOTestCase, Wire
from typed_program import Chat


class ChatTests(SocketIOTestCase):
    handler = Chat
    namespaces = {"/side": Chat}
    settings = {"cookie_secret": "secret"}
    path = "/ws"

    @gen_test
    async def test_every_method(self) -> None:
        cookie = create_signed_value("secret", "user", "ada")
        ada = await self.client(cookies={"user": cookie, "plain": "x"}, query={"age": 7})
        bob: Client = await self.client(
            "0.9", "xhr-polling", "/side", {"token": "x"}, path="/ws", headers={"X-Name": "bob"}
        )
        await ada.emit("chat message", {"text": "hello"}, b"bytes", namespace="/")
        await ada.send("hello")
        self.assertEqual(await ada.call("chat message", "hello", timeout=1), "sent")
        self.assertEqual(await bob.receive("chat message"), ("chat message", ada.id, "hello"))
        name, *args = await bob.answer("yes", name="question")
        self.assertEqual((name, args), ("question", []))
        await bob.receive_nothing(0.1)
        await (await bob.join("/other", {"token": "x"})).leave("/other")
        await ada.pause()
        await ada.resume()
        await ada.cut()
        reason: str = await ada.closed()
        self.assertEqual((reason, (await ada.reconnect()).recovered), ("transport error", True))
        with self.assertRaises(ConnectionRefused):
            await self.client(query="age=7")
        await ada.close()

    @gen_test(timeout=10)
    async def test_bytes(self) -> None:
        wire: Wire = await self.wire()
        status, headers, body = await wire.request("GET", "/", Accept="text/html")
        self.assertEqual((status, headers["content-type"], body), (200, "text/html", b""))
        await wire.upgrade("/ws/?EIO=4&transport=websocket")
        wire.send_frame("40")
        self.assertIn("sid", await wire.text())


class ApplicationTests(SocketIOTestCase):
    def get_app(self) -> Application:
        self.app = Application([Chat.routes("socket.io")])
        return self.app

    def get_http_server(self) -> HTTPServer:
        return SocketIOServer(self.app, auto_start=False, port=0)
