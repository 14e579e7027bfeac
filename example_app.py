# /// script
# requires-python = ">=3.10"
# dependencies = ["tornado>=6.5.6", "simplejson>=3.19"]
# ///
"""A chat for Socket.IO clients of every generation, in one file.

    python example_app.py                     then open http://localhost:8888 in two windows
    python example_app.py --address=0.0.0.0   lets the phones in your network in
    python example_app.py --generations       clients of 2010 to 2024 draw one picture

The page takes the official client from /socket.io/socket.io.js, which leads to the public CDN. To
have it without internet, `npm install socket.io-client`, and start this example with
`--client-path=node_modules/socket.io-client/dist`. Without both, a small client in the page does.

A client comes in by `io({auth: {name, room}})`. It sends the events that ChatHandler's methods
take, and asks for acks: {ok: true}, {ok: true, note: "delivered"} or {error: "why"}. It hears:

    "say" and "private", {id, name, text}    "private" asks for an ack
    "joined" and "left", name, and "people", [{id, name, client, transport}, ..]
"""

import collections
import re

from tornado.options import define, options, parse_command_line
from tornado.web import Application, RedirectHandler, RequestHandler, StaticFileHandler

from socket_io import AckTimeout, Disconnected, NotSupported, SocketIOHandler, SocketIOServer, event

# Line ends, invisible characters, marks that reverse the direction of writing, halves of emoji.
UNWANTED = r"[\s\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"

# The versions of socket.io, by the names of what their clients speak.
VERSIONS = {"0.6": "0.6", "0.9": "0.9", "EIO3": "2", "EIO4": "4", "EIO4-msgpack": "4"}


def one_line(value, length=30):
    """Return *value* as one line of at most *length* characters; empty if it is no text."""
    return re.sub(UNWANTED, " ", value[:length]).strip() if isinstance(value, str) else ""


class ChatHandler(SocketIOHandler):
    """A participant of the chat: one object for each client, from connecting to leaving."""

    # Options are class attributes.
    max_message_bytes = 100_000
    client_path = None  # the official client, a file or a folder; make_app sets it

    def on_open(self):
        name = one_line(self.auth.get("name")) or f"Guest {self.id[:4]}"
        self.come_in(name, one_line(self.auth.get("room")) or "lobby")

    def on_message(self, message):
        """Take a line of a client that knows no events, such as those of 0.6."""
        return self.say(message)

    def on_close(self):
        self.go_out()

    # Events that clients send. The value that a method returns is the ack.

    @event
    def enter(self, name, room):
        """Take another name, or go to another room."""
        name, room = one_line(name), one_line(room)
        if not name or not room:
            return {"error": "a name and a room are needed"}
        self.go_out()
        self.come_in(name, room)
        return {"ok": True}

    @event
    def say(self, text):
        """Send a line to everybody else in the room."""
        text = one_line(text, 2000)
        if not text:
            return {"error": "there is no text"}
        self.to(self.room).emit("say", {"id": self.id, "name": self.name, "text": text})
        return {"ok": True}

    @event
    async def private(self, receiver, text):
        """Send a line to one participant, and acknowledge it when the receiver has."""
        text = one_line(text, 2000)
        mate = next((mate for mate in self.to(self.room).sockets() if mate.id == receiver), None)
        if not text or mate is None:
            return {"error": "they have left" if text else "there is no text"}
        message = {"id": self.id, "name": self.name, "text": text}
        try:
            await mate.call("private", message, timeout=5)
        except NotSupported:  # by socket.io 0.6; nothing was sent
            mate.emit("private", message)
            return {"ok": True, "note": "sent; socket.io 0.6 cannot confirm it"}
        except (AckTimeout, Disconnected):
            return {"error": "no confirmation came"}
        return {"ok": True, "note": "delivered"}

    @event
    def upgraded(self):
        """Show everybody that this client has changed from polling to WebSocket."""
        self.show_people()

    def come_in(self, name, room):
        """Enter a room, and show that to everybody in it."""
        self.name = name
        # Every client's id is a room, too. The prefix keeps participants out of those.
        self.room = f"room {room}"
        self.join(self.room)
        self.to(self.room).emit("joined", name)
        self.show_people()

    def go_out(self):
        """Leave the room, and show that to everybody who stays."""
        self.leave(self.room)
        self.to(self.room).emit("left", self.name)
        self.show_people()

    def show_people(self):
        """Send everybody in the room the list of the people there."""
        everybody = self.io.to(self.room)
        everybody.emit("people", [person.description() for person in everybody.sockets()])

    def description(self):
        """Return what the page shows of this participant."""
        client = f"socket.io {VERSIONS[self.session.dialect.name]}"
        return {"id": self.id, "name": self.name, "client": client, "transport": self.protocol}


class PageHandler(RequestHandler):
    """A page, which brings its own styles and scripts."""

    def initialize(self, page):
        self.page = page

    def get(self):
        self.finish(self.page)


def make_app(client_path=None):
    """Return the application of the chat; *client_path* is the official client, if it is here."""
    ChatHandler.client_path = client_path
    return Application([ChatHandler.routes("socket.io"), ("/", PageHandler, {"page": CHAT})])


def main():
    """Read the command line and serve until Ctrl-C."""
    define("port", default=8888, help="where to listen")
    define("address", default="localhost", help="on which address; 0.0.0.0: on all")
    define("generations", default=False, help="serve the picture of generations, not the chat")
    define("client_path", type=str, help="where the official clients are; default: public CDNs")
    parse_command_line()
    make = make_generations_app if options.generations else make_app
    app = make(options.client_path)
    print(f"Open http://localhost:{options.port} in a browser. Ctrl-C ends it.", flush=True)
    SocketIOServer(app, port=options.port, address=options.address)


CHAT = r"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, interactive-widget=resizes-content">
<title>Chat</title>
<link rel="icon" href="data:,">
<style>
:root {
  color-scheme: light dark;
  --panel: light-dark(#f7f7fb, #181821); --paper: light-dark(#fff, #13131a);
  --text: light-dark(#1d1d28, #ececf3); --soft: light-dark(#6a6a7c, #9a9aad);
  --accent: light-dark(#5353cf, #625edb); --bubble: light-dark(#f0f0f6, #242430);
  --secret: light-dark(#fdf3dc, #2c2413); --edge: light-dark(#ecd08e, #6b531b);
  --secret-text: light-dark(#7d5600, #f0c65f); --bad: light-dark(#c6373c, #ff7b7f);
}
* { box-sizing: border-box; margin: 0; padding: 0; }
body { height: 100dvh; display: grid; background: light-dark(#e9e9f3, #0d0d13);
       color: var(--text); font: 16px/1.45 system-ui, sans-serif; }
:focus-visible { outline: 2px solid var(--accent); }
button, input { border: 0; background: none; font: inherit; color: inherit; }
button:enabled { cursor: pointer; }
small, .hint, #state { color: var(--soft); font-size: .78rem; }
.cut { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

#app { display: grid; grid-template: minmax(0, 1fr) / 19rem minmax(0, 1fr); overflow: hidden;
       width: min(100% - 4rem, 70rem); height: min(100dvh - 4rem, 52rem); place-self: center;
       border-radius: 1.25rem; background: var(--paper); box-shadow: 0 1.5rem 4rem -1.5rem #0005; }
aside, #talk { display: flex; flex-direction: column; min-width: 0; min-height: 0; }
aside { background: var(--panel); }
#top { display: flex; align-items: center; gap: .75rem; padding: 1rem 1.25rem; }
#where { flex: 1; text-align: left; }
#state::before { content: "●"; margin-right: .4rem; color: var(--bad); }
.on #state::before { color: #2aa56a; }
.hint { padding: .5rem 1.25rem 1rem; }
#people { flex: 1; overflow: auto; list-style: none; padding: 0 .6rem; }
#people button { width: 100%; padding: .5rem .75rem; text-align: left; border-radius: .75rem; }
#people .picked { background: var(--secret); box-shadow: inset 0 0 0 1px var(--edge); }
b { color: light-dark(hsl(var(--hue) 62% 33%), hsl(var(--hue) 62% 70%)); }

#log { flex: 1; overflow: auto; display: flex; flex-direction: column-reverse; }
#log ol { display: flex; flex-direction: column; align-items: start; list-style: none;
          padding: 1rem 1.25rem; overflow-wrap: anywhere; }
#log li { max-width: min(80%, 36rem); margin-top: .7rem; }
#log b, small { display: block; }
#log b, #log small { margin: .1rem .85rem; font-size: .78rem; }
#log p { width: fit-content; padding: .5rem .85rem; border-radius: 1.1rem 1.1rem 1.1rem .3rem;
         background: var(--bubble); unicode-bidi: plaintext; }
#log .own { align-self: end; text-align: right; }
#log .own p { margin-left: auto; background: var(--accent); color: #fff; text-align: start;
              border-radius: 1.1rem 1.1rem .3rem 1.1rem; }
#log .secret b { color: var(--secret-text); }
#log .secret p { background: var(--secret); color: var(--text); outline: 1px solid var(--edge); }
#log .more { margin-top: .2rem; }
#log .more b, #log li:has(+ .more):not(.secret, .failed) small { display: none; }
#log .failed small { color: var(--bad); }
#log .event { align-self: center; max-width: 100%; color: var(--soft); font-size: .8rem; }

#composer { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .6rem;
            padding: .75rem 1.25rem max(1rem, env(safe-area-inset-bottom)); }
#to { grid-column: 1 / 3; padding: .3rem 1rem; border-radius: .75rem; text-align: left;
      background: var(--secret); color: var(--secret-text); font-size: .85rem; }
input { width: 100%; padding: .65rem 1rem; border-radius: 1.4rem; background: var(--bubble); }
.main { padding: .65rem 1.25rem; border-radius: 1.4rem; background: var(--accent); color: #fff; }
.main:disabled { opacity: .45; }
dialog { width: min(24rem, 100% - 2rem); margin: auto; padding: 1.75rem; border: 0;
         border-radius: 1.25rem; background: var(--paper); color: var(--text); }
dialog form { display: grid; gap: 1rem; }

@media (max-width: 46rem) {
  #app { width: 100%; height: 100%; border-radius: 0; grid-template: auto 1fr / minmax(0, 1fr); }
  .hint { display: none; }
  #people { display: flex; gap: .35rem; padding: 0 .75rem .65rem; scrollbar-width: none; }
  #people li { flex: none; max-width: 15rem; }
  #people button:not(.picked) { background: var(--paper); }
}
</style>
</head>
<body>
<main id="app">
  <aside>
    <div id="top">
      <button id="where" class="cut" title="Change your name or the room"></button>
      <span id="state" role="status">not connected</span>
    </div>
    <p class="hint">Pick somebody to write to them privately.</p>
    <ul id="people" aria-label="Who is here"></ul>
    <p class="hint" id="advice" hidden>The official client did not load: see example_app.py.</p>
  </aside>
  <section id="talk">
    <div id="log" tabindex="0"><ol aria-live="polite" aria-label="Messages"></ol></div>
    <form id="composer" autocomplete="off">
      <button id="to" class="cut" type="button" title="Write to everybody" hidden></button>
      <input id="text" maxlength="2000" aria-label="Message" enterkeyhint="send">
      <button class="main" disabled>Send</button>
    </form>
  </section>
</main>
<dialog id="door">
  <form method="dialog">
    <h1>Come in</h1>
    <label>Your name <input id="name" maxlength="30" required pattern=".*\S.*"></label>
    <label>Room <input id="room" maxlength="30" required pattern=".*\S.*"></label>
    <button class="main">Enter</button>
  </form>
</dialog>

<script>
const $ = (selector) => document.querySelector(selector);
const me = { name: "", room: "" };
let socket;             // the client, when the user has come in
let receiver = null;    // the only reader of the next message; null: everybody

// -- The conversation with the server
function connect() {
  $("#advice").hidden = Boolean(window.io);
  socket = (window.io ?? smallClient)({ auth: (give) => give(me) });
  socket.on("connect", () => {
    showState("connected");
    const upgraded = () => socket.emit("upgraded");
    socket.io?.engine.on("upgrade", upgraded);    // from polling to WebSocket
    upgraded();    // the upgrade may have come before this event
  });
  socket.on("disconnect", () => showState("reconnecting …"));
  socket.on("people", showPeople);
  socket.on("joined", (name) => showLine("event", make("bdi", "", name), " joined"));
  socket.on("left", (name) => showLine("event", make("bdi", "", name), " left"));
  socket.on("say", (message) => showMessage("", message, makeName(message.name)));
  socket.on("private", (message, acknowledge) => {
    showMessage("secret", message, makeName(message.name, "", ", privately"));
    acknowledge();
  });
}

// Sends an event. The promise gives the server's ack, or an error after some seconds.
function ask(...event) {
  return new Promise((resolve) => {
    setTimeout(resolve, 8000, { error: "no answer from the server" });
    socket.emit(...event, resolve);
  });
}

async function send(text) {
  const line = receiver
    ? showMessage("own secret", { id: receiver.id, text }, makeName(receiver.name, "to "))
    : showMessage("own", { id: socket.id, text }, "");
  const answer = receiver ? ask("private", receiver.id, text) : ask("say", text);
  writeTo(null);    // the next message is for everybody again
  const { error, note = "sent" } = await answer;
  line.classList.toggle("failed", Boolean(error));
  line.lastChild.append(error ? ` · not delivered: ${error}` : ` · ${note} ✓`);
}

// -- The view. What other people wrote goes into text nodes only.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

function makeName(name, before = "", after = "") {
  const element = make("b", "", before, make("bdi", "", name), after);
  const hue = [...name].reduce((sum, letter) => (sum * 131 + letter.codePointAt(0)) % 360, 7);
  element.style.setProperty("--hue", hue);
  return element;
}

function showState(words) {
  $("#state").textContent = words;
  $("#app").classList.toggle("on", socket.connected);
  $("#composer .main").disabled = !socket.connected;
}

function showPeople(people) {
  const isMe = ({ id }) => id === socket.id;
  people.sort((a, b) => isMe(b) - isMe(a) || a.name.localeCompare(b.name));
  $("#people").replaceChildren(...people.map((person) => {
    const name = makeName(person.name, "", isMe(person) ? " (you)" : "");
    const how = make("small", "", `${person.client} · ${person.transport}`);
    const button = make("button", "cut", name, how);
    button.disabled = isMe(person);
    button.dataset.id = person.id;
    button.onclick = () => writeTo(person);
    return make("li", "", button);
  }));
  showReceiver();
}

function showReceiver() {
  $("#to").hidden = !receiver;
  $("#to").textContent = `✕ Privately to ${receiver?.name}`;
  $("#text").placeholder = receiver ? "Private message" : "Message";
  for (const button of document.querySelectorAll("#people button"))
    button.classList.toggle("picked", button.dataset.id === receiver?.id);
}

function showLine(className, ...children) {
  const line = make("li", className, ...children);
  $("#log ol").append(line);
  return line;
}

function showMessage(className, { id, text }, name) {
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const before = $("#log ol").lastChild?.dataset.talk;
  const line = showLine(className, name, make("p", "", text), make("small", "", time));
  line.dataset.talk = className + id;
  line.classList.toggle("more", line.dataset.talk === before);
  return line;
}

// -- The actions of the user
function writeTo(person) {
  receiver = person;
  showReceiver();
  $("#text").focus();
}

$("#composer").onsubmit = (submit) => {
  submit.preventDefault();
  const text = $("#text").value.trim();
  if (!text || !socket.connected) return;
  $("#text").value = "";
  $("#log").scrollTop = 0;    // the newest line, because the log begins at its end
  send(text);
};

$("#to").onclick = () => writeTo(null);
$("#where").onclick = () => $("#door").showModal();
$("#door").oncancel = (cancel) => { if (!me.name) cancel.preventDefault(); };
$("#door form").onsubmit = () => {
  const isNew = !me.name;
  if (me.room !== $("#room").value.trim()) $("#log ol").replaceChildren();
  me.name = $("#name").value.trim();
  me.room = $("#room").value.trim();
  localStorage.setItem("chat name", me.name);
  location.hash = new URLSearchParams({ room: me.room });
  const as = make("small", "cut", "as ", make("bdi", "", me.name), " · change");
  $("#where").replaceChildren(make("b", "", `# ${me.room}`), as);
  writeTo(null);
  if (isNew) connect();    // `auth` has the name and the room
  else if (socket.connected)
    ask("enter", me.name, me.room).then(({ error }) => error && showLine("event", error));
};

$("#name").value = localStorage.getItem("chat name") ?? "";
$("#room").value = new URLSearchParams(location.hash.slice(1)).get("room") || "lobby";
$("#door").showModal();

// -- The small client speaks Engine.IO 4 and Socket.IO 5, as far as this page needs them.
function smallClient({ auth }) {
  let web, listeners = {}, acks = [];
  const socket = {
    on(name, listener) { listeners[name] = listener; },
    emit(...event) {
      const id = typeof event.at(-1) === "function" ? acks.push(event.pop()) - 1 : "";
      web.send(`42${id}${JSON.stringify(event)}`);
    },
  };
  function open() {
    web = new WebSocket("/socket.io/?EIO=4&transport=websocket");
    web.onmessage = ({ data }) => {
      const [, type, id, json] = /^(4?\d)(\d*)(.*)$/.exec(data);
      const content = json && JSON.parse(json);
      if (type === "0") auth((who) => web.send(`40${JSON.stringify(who)}`));    // OPEN, CONNECT
      if (type === "2") web.send("3");    // PING, PONG
      if (type === "43") acks[id](...content);
      if (type === "42") listeners[content.shift()]?.(...content, () => web.send(`43${id}[]`));
      if (type === "40") {
        Object.assign(socket, { id: content.sid, connected: true });
        listeners.connect();
      }
    };
    web.onclose = () => {
      socket.connected = false;
      listeners.disconnect();
      setTimeout(open, 1000);
    };
  }
  open();
  return socket;
}
</script>
<script async src="/socket.io/socket.io.js"></script>
</body>
</html>
"""


# The page of generations: four clients, from 2010 to 2024, draw one picture. Each of them is in a
# pane of its own, because the scripts of all of them define `io`.

# The public CDN has all files of npm packages. Without internet, --client-path names a folder with
# 0.6.js, 0.9.js, 2.5.js and 4.8.js.
CDN = "https://cdn.jsdelivr.net/npm/"
SCRIPTS = {
    "0.6": "socket.io@0.6.18/support/socket.io-client/socket.io.js",
    "0.9": "socket.io-client@0.9.17/dist/socket.io.js",
    "2.5": "socket.io-client@2.5.0/dist/socket.io.js",
    "4.8": "socket.io-client@4.8.4/dist/socket.io.js",
}


class DrawingHandler(SocketIOHandler):
    """A pen. What it draws are lines of five numbers: the ink, from x and y, to x and y."""

    lines = collections.deque(maxlen=5000)  # the picture so far, for those who come later

    def on_open(self):
        self.join("picture")
        self.emit("picture", list(self.lines))

    def on_message(self, message):
        """Take an event of a 0.6 client, which has messages only: {name: "draw", args: [..]}.

        Likewise, what is emitted to a 0.6 client arrives as such a message.
        """
        match message:
            case {"name": "draw" | "wipe" | "transport" as name, "args": list(args)}:
                return self.dispatch(name, *args)

    @event
    def draw(self, *line):
        """Add a line to the picture, and show it to everybody else."""
        if len(line) == 5 and all(isinstance(n, int) and 0 <= n <= 1000 for n in line):
            self.lines.append(line)
            self.to("picture").emit("draw", *line)

    @event
    def wipe(self):
        """Begin a new picture."""
        self.lines.clear()
        self.io.to("picture").emit("picture", [])

    @event
    def transport(self):
        """Tell the client its transport; it asks when it has connected, and after an upgrade."""
        self.emit("transport", self.protocol)


def make_generations_app(client_path=None):
    """Return the application of the picture; *client_path* is the folder of the four clients."""
    if client_path:
        scripts = [("/client/(.*)", StaticFileHandler, {"path": client_path})]
    else:
        scripts = [
            (f"/client/{version}.js", RedirectHandler, {"url": CDN + path, "permanent": False})
            for version, path in SCRIPTS.items()
        ]
    pages = [("/", PageHandler, {"page": PICTURE}), ("/pane", PageHandler, {"page": PANE})]
    return Application([DrawingHandler.routes("socket.io"), *pages, *scripts])


PICTURE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Four generations, one room</title>
<link rel="icon" href="data:,">
<style>
* { box-sizing: border-box; margin: 0; }
body { height: 100dvh; padding: clamp(.75rem, 2vmin, 1.5rem); display: flex;
       flex-direction: column; gap: clamp(.5rem, 2vmin, 1.25rem);
       color-scheme: light dark; background: light-dark(#ededf5, #0d0d13);
       color: light-dark(#1d1d28, #ececf3); font: 16px/1.4 system-ui, sans-serif; }
header { display: flex; align-items: center; justify-content: space-between; }
h1 { font-size: 1.1rem; }
p { color: light-dark(#6a6a7c, #9a9aad); font-size: .82rem; }
button { padding: .4rem 1rem; border: 0; border-radius: 1rem; cursor: pointer;
         background: light-dark(#dcdcea, #2a2a36); color: inherit; font: .85rem system-ui; }
main { flex: 1; min-height: 0; display: grid; grid: 1fr 1fr / 1fr 1fr; gap: inherit; }
iframe { width: 100%; height: 100%; border: 0; }
@media (max-width: 46rem) { p { display: none; } main { grid: repeat(4, 1fr) / 1fr; } }
</style>
</head>
<body>
<header>
  <div>
    <h1>Four generations, one room</h1>
    <p>Draw in any pane. A click on a transport changes it.</p>
  </div>
  <button onclick="frames[3].wipe()">Clear</button>
</header>
<main>
  <iframe src="/pane?version=0.6&amp;year=2010&amp;ink=0"></iframe>
  <iframe src="/pane?version=0.9&amp;year=2012&amp;ink=1"></iframe>
  <iframe src="/pane?version=2.5&amp;year=2022&amp;ink=2"></iframe>
  <iframe src="/pane?version=4.8&amp;year=2024&amp;ink=3"></iframe>
</main>
</body>
</html>
"""

PANE = """<!DOCTYPE html>
<html lang="en">
<head>
<title>A client</title>
<style>
:root {
  color-scheme: light dark; --soft: light-dark(#6a6a7c, #9a9aad);
  --ink-0: light-dark(#dd4f3a, #ff7d68); --ink-1: light-dark(#d18a00, #f2b63c);
  --ink-2: light-dark(#12917f, #3fd0b8); --ink-3: light-dark(#5353cf, #918dff);
}
body { width: min(100vw, (100vh - 1.9rem) * 2); margin: auto; overflow: hidden;
       color: light-dark(#1d1d28, #ececf3); font: 15px/1.9rem system-ui, sans-serif; }
header { display: flex; gap: .5rem; height: 1.9rem; padding: 0 .25rem; white-space: nowrap; }
small, button { color: var(--soft); font: inherit; font-size: .85rem; }
button { margin-left: auto; padding: 0; border: 0; background: none; cursor: pointer; }
svg { display: block; width: 100%; aspect-ratio: 2; border-radius: .75rem; touch-action: none;
      background: light-dark(#fff, #181821); cursor: crosshair; }
line { stroke-width: 6; stroke-linecap: round; }
</style>
</head>
<body>
<header>
  <b id="version">●</b><small id="year"></small><button id="transport">connecting …</button>
</header>
<svg id="paper" viewBox="0 0 1000 500"></svg>

<script>
const $ = (id) => document.getElementById(id);
const { version, year, ink, polling } = Object.fromEntries(new URLSearchParams(location.search));
let send;    // sends an event, in the words of this generation

// -- What the server says
const hear = {
  picture(lines) {
    $("paper").replaceChildren();
    for (const line of lines) hear.draw(...line);
  },
  draw(ink, x1, y1, x2, y2) {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    for (const [name, value] of Object.entries({ x1, y1, x2, y2 })) line.setAttribute(name, value);
    line.style.stroke = `var(--ink-${ink})`;
    $("paper").append(line);
  },
  transport(name) { $("transport").textContent = name; },
};

// -- How each generation connects
const ask = () => send("transport");
const lost = () => hear.transport("connecting …");

function connect06() {
  const { hostname, port } = location;
  const transports = [polling ? "xhr-polling" : "websocket"];
  const socket = new io.Socket(hostname, { port, transports, rememberTransport: false });
  send = (name, ...args) => socket.send({ name, args });
  socket.on("connect", ask);
  socket.on("disconnect", lost);
  socket.on("message", ({ name, args }) => hear[name](...args));
  socket.connect();
}

function connect09() {
  listen(io.connect(location.origin, { transports: [polling ? "xhr-polling" : "websocket"] }));
}

function connectToday() {    // since 1.0
  const socket = io({ transports: polling ? ["polling"] : ["polling", "websocket"] });
  socket.on("connect", () => socket.io.engine.on("upgrade", ask));
  listen(socket);
}

function listen(socket) {
  send = (...event) => socket.emit(...event);
  socket.on("connect", ask);
  socket.on("disconnect", lost);
  for (const name of Object.keys(hear)) socket.on(name, hear[name]);
}

// -- What the user does
let last = null;    // the point where the pen is; null: it is lifted

function point({ clientX, clientY }) {
  const { left, top, width } = $("paper").getBoundingClientRect();
  const inside = (value, most) => Math.round(Math.min(Math.max(value * 1000 / width, 0), most));
  return [inside(clientX - left, 1000), inside(clientY - top, 500)];
}

function drawTo(next) {
  const line = [Number(ink), ...last, ...next];
  hear.draw(...line);
  send("draw", ...line);
  last = next;
}

$("paper").onpointerdown = (down) => {
  $("paper").setPointerCapture(down.pointerId);
  last = point(down);
  drawTo(last);
};
$("paper").onpointermove = (move) => last && drawTo(point(move));
$("paper").onpointerup = $("paper").onpointercancel = () => { last = null; };
$("transport").onclick = () => { location.search += polling ? "&polling=" : "&polling=yes"; };
function wipe() { send("wipe"); }    // for the page around

$("version").append(` socket.io ${version}`);
$("version").style.color = `var(--ink-${ink})`;
$("year").textContent = year;
const script = document.createElement("script");
script.src = `/client/${version}.js`;
script.onload = { "0.6": connect06, "0.9": connect09 }[version] ?? connectToday;
script.onerror = () => hear.transport("script not found");
document.body.append(script);
</script>
</body>
</html>
"""


if __name__ == "__main__":
    main()
