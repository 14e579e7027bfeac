# /// script
# requires-python = ">=3.10"
# dependencies = ["tornado>=6.5.6", "simplejson>=3.19"]
# ///
"""A chat for Socket.IO clients of every generation, in one file.

    python example_app.py                        then open http://localhost:8888 in two windows
    python example_app.py --address=0.0.0.0      lets the phones in your network in
    python example_app.py --client-path=node_modules/socket.io-client/dist

The page loads the official client from /socket.io/socket.io.js: the one in --client-path, or else
from the public CDN. Without both, the page has a few lines of its own in place of the client.
/?transport=polling shows a client without WebSocket.

A client enters with the name and the room in its `auth`, `io({auth: {name, room}})`, or as a guest.

    The client sends                             The ack
    "enter", name, room                          {ok: true}, or {error: why}, as for the others
    "say", text (or just the message text)       {ok: true}
    "private", id, text                          {answer: the receiver's ack}, or {note: why not}
    "upgraded" (its transport has changed)       nothing

    The server sends
    "people", [{id, name, room, via}, ..]        everybody in the room, whenever that changes
    "joined" and "left", name
    "say" and "private", {id, name, text}        "private" asks for an ack

A 0.6 client knows messages only: it sends {"name": "enter", "args": [name, room]}, and receives
events in the same form.
"""

import re

from tornado.options import define, options, parse_command_line
from tornado.web import Application, RequestHandler

from socket_io import AckTimeout, Disconnected, NotSupported, SocketIOHandler, SocketIOServer, event

# The input fields of the page have the same limits.
NAME_LENGTH, TEXT_LENGTH = 30, 2000
# Characters that a line of text should not have: line ends and other controls, invisible
# characters, marks that reverse the direction of writing, and halves of surrogate pairs.
UNWANTED = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+"
)


def clean(value, length):
    """Return *value* as one line of at most *length* characters; empty if it is no text."""
    return UNWANTED.sub(" ", value[:length]).strip() if isinstance(value, str) else ""


class ChatHandler(SocketIOHandler):
    """A participant of the chat, from connecting to leaving."""

    # Options of the server are class attributes.
    max_message_bytes = 100_000

    def on_open(self, *args, **kwargs):
        name = clean(self.auth.get("name"), NAME_LENGTH) or f"Guest {self.id[:4]}"
        self.come_in(name, clean(self.auth.get("room"), NAME_LENGTH) or "lobby")

    def on_message(self, message):
        """Take a line of the chat, or an event of a 0.6 client, which can send only messages."""
        match message:
            case str():
                return self.say(message)
            case {"name": "enter", "args": [name, room]}:
                return self.enter(name, room)
            case {"name": "say", "args": [text]}:
                return self.say(text)
            case {"name": "private", "args": [receiver, text]}:
                return self.private(receiver, text)
        return {"error": "a message is text"}

    def on_close(self):
        self.go_out()

    # Events that participants send. The value that a method returns is the ack.

    @event
    def enter(self, name, room):
        """Take another name, or go to another room."""
        name, room = clean(name, NAME_LENGTH), clean(room, NAME_LENGTH)
        if not name or not room:
            return {"error": "a name and a room are needed"}
        self.go_out()
        self.come_in(name, room)
        return {"ok": True}

    @event
    def say(self, text):
        """Send a line to everybody in the room, except to its sender."""
        text = clean(text, TEXT_LENGTH)
        if not text:
            return {"error": "there is no text"}
        self.to(self.room).emit("say", {"id": self.id, "name": self.session["name"], "text": text})
        return {"ok": True}

    @event
    async def private(self, receiver, text):
        """Send a line to one participant, and acknowledge it when the receiver has.

        A handler runs one event at a time: the sender's next event waits for this one.
        """
        text = clean(text, TEXT_LENGTH)
        mate = next((mate for mate in self.to(self.room).sockets() if mate.id == receiver), None)
        if not text or mate is None:
            return {"error": "they have left" if text else "there is no text"}
        message = {"id": self.id, "name": self.session["name"], "text": text}
        try:
            return {"answer": clean(await mate.call("private", message, timeout=5), NAME_LENGTH)}
        except NotSupported:
            mate.emit("private", message)
            return {"note": "sent; a 0.6 client cannot acknowledge"}
        except (AckTimeout, Disconnected):
            return {"error": "no acknowledgement came"}

    @event
    def upgraded(self):
        """Show everybody that this participant has changed from polling to WebSocket."""
        if self.session["via"] != self.via:
            self.session["via"] = self.via
            self.show_people(self)

    # Coming and going.

    @property
    def room(self):
        """The room of the chat, as `join` and `to` know it.

        The id of every client is a room too. The prefix keeps participants out of those rooms.
        """
        return "room " + self.session["room"]

    @property
    def via(self):
        """The generation and the transport of this client, for the page."""
        return f"{self.session.dialect.name} · {self.protocol}"

    def come_in(self, name, room):
        """Enter a room, and show that to everybody in it."""
        self.session.update(name=name, room=room, via=self.via)
        self.join(self.room)
        self.to(self.room).emit("joined", name)
        self.show_people(self)

    def go_out(self):
        """Leave the room, and show that to everybody who stays."""
        self.leave(self.room)
        self.to(self.room).emit("left", self.session["name"])
        self.show_people()

    def show_people(self, *me):
        """Send everybody in the room the list of the people there; *me* is one more of them."""
        here = [*self.to(self.room).sockets(), *me]
        self.io.to(self.room).emit(
            "people", [{"id": person.id, **person.session} for person in here]
        )


class PageHandler(RequestHandler):
    """The page, which brings its own styles and scripts."""

    def get(self):
        self.finish(PAGE)


def make_app(client_path=None, **settings):
    """Return the application; *client_path* is the official client: its `dist` folder or file."""
    ChatHandler.client_path = client_path
    return Application([ChatHandler.routes("socket.io"), (r"/", PageHandler)], **settings)


def main():
    """Read the command line and serve until Ctrl-C."""
    define("port", default=8888, help="where to listen")
    define("address", default="localhost", help="on which address; 0.0.0.0: on all")
    define(
        "client_path",
        type=str,
        help="the dist folder of socket.io-client; without it the public CDN is used",
    )
    parse_command_line()
    # All transports but "flashsocket", whose policy server listens on port 843, as root only.
    transports = ["websocket", "xhr-multipart", "xhr-polling", "jsonp-polling", "htmlfile"]
    app = make_app(options.client_path, socket_io_port=options.port, enabled_protocols=transports)
    print(
        f"Open http://localhost:{options.port} in two windows. Ctrl-C stops the server.", flush=True
    )
    SocketIOServer(app, address=options.address)


PAGE = r"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport"
      content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<meta name="color-scheme" content="light dark">
<title>Chat</title>
<link rel="icon" href="data:image/svg+xml,
  <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'>
  <rect width='32' height='32' rx='9' fill='%235b5bd6'/>
  <path d='M8 11h16M8 17h10' stroke='white' stroke-width='3.4' stroke-linecap='round'/></svg>">
<style>
:root {
  --back: #e9e9f3; --panel: #f7f7fb; --paper: #fff; --line: #e4e4ee; --text: #1d1d28;
  --soft: #6a6a7c; --accent: #5353cf; --on-accent: #fff; --bubble: #f0f0f6; --secret: #fdf3dc;
  --secret-line: #ecd08e;
  --secret-text: #7d5600; --good: #1f9d61; --wait: #d08700; --bad: #c6373c; --tone: 33%;
  --lock: url("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>\
<path d='M3 7h10v9H3z'/>\
<path d='M5 8V5a3 3 0 0 1 6 0v3' fill='none' stroke='black' stroke-width='2'/></svg>");
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0d0d13; --panel: #181821; --paper: #13131a; --line: #2a2a36; --text: #ececf3;
    --soft: #9a9aad; --accent: #625edb; --bubble: #242430; --secret: #2c2413;
    --secret-line: #6b531b; --secret-text: #f0c65f; --good: #3ecf8b; --wait: #f0b030;
    --bad: #ff7b7f; --tone: 70%;
  }
}
* { box-sizing: border-box; margin: 0; }
[hidden] { display: none !important; }
html { height: 100%; }
body { height: 100dvh; display: grid; background: var(--back); color: var(--text);
       font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
button, input { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
input:focus-visible { outline-offset: -2px; }

#app { display: grid; grid-template: minmax(0, 1fr) / 19rem minmax(0, 1fr); overflow: hidden;
       width: min(100% - 4rem, 70rem); height: min(100dvh - 4rem, 52rem); place-self: center;
       border-radius: 1.25rem; background: var(--paper);
       box-shadow: 0 0 0 1px var(--line), 0 1.5rem 4rem -1.5rem #0005; }
aside { display: flex; flex-direction: column; min-height: 0; background: var(--panel);
        border-right: 1px solid var(--line); }
.top { display: flex; align-items: center; gap: .75rem; padding: 1rem 1.25rem; }
#where { flex: 1; min-width: 0; padding: .3rem .6rem; margin: -.3rem -.6rem; border-radius: .6rem;
         text-align: left; }
#where b { font-size: 1.15rem; }
#where b, #where small { display: block; line-height: 1.3; overflow: hidden;
                         text-overflow: ellipsis; white-space: nowrap; }
#where small, .hint, h2 { color: var(--soft); font-size: .8rem; }
#state { display: flex; align-items: center; gap: .4rem; color: var(--soft); font-size: .8rem;
         white-space: nowrap; }
#state::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%;
                 background: var(--wait); }
.on #state::before { background: var(--good); }
#app:not(.on) #people { opacity: .45; }
h2 { padding: .5rem 1.25rem; font-weight: 600; }
#people { flex: 1; overflow: auto; list-style: none; padding: 0 .6rem; }
#people button { display: flex; align-items: center; gap: .7rem; width: 100%;
                 padding: .45rem .65rem; text-align: left; border-radius: .75rem; }
#people button:disabled { cursor: default; }
@media (hover: hover) { #where:hover, #people button:enabled:hover { background: var(--line); } }
#people button.picked, #people button.picked:hover {
  background: var(--secret); box-shadow: inset 0 0 0 1px var(--secret-line); }
.face { flex: none; display: grid; place-items: center; width: 2.3rem; height: 2.3rem;
        border-radius: 50%; color: hsl(var(--hue) 65% var(--tone));
        background: hsl(var(--hue) 70% 50% / .17); font-size: .85rem; font-weight: 700; }
.who { min-width: 0; line-height: 1.3; }
.who b { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
         font-weight: 600; }
.who em { color: var(--soft); font-style: normal; font-weight: 400; }
.badges { display: flex; gap: .3rem; margin-top: .15rem; }
.badge { padding: .08rem .4rem; border-radius: .4rem; background: var(--line); color: var(--soft);
         font: 600 .68rem/1.4 ui-monospace, "SF Mono", "Cascadia Mono", Menlo, monospace;
         white-space: nowrap; }
.badge + .badge { background: color-mix(in srgb, var(--accent) 15%, transparent);
                  color: color-mix(in srgb, var(--accent) 80%, var(--text)); }
.hint { padding: .75rem 1.25rem 1rem; }

#talk { display: flex; flex-direction: column; min-width: 0; min-height: 0; }
#advice { padding: .6rem 1.25rem; background: var(--secret); color: var(--secret-text);
          font-size: .82rem; border-bottom: 1px solid var(--secret-line); display: flex;
          gap: .75rem; align-items: start; }
#advice span { flex: 1; overflow-wrap: anywhere; }
#advice code { white-space: nowrap;
               font: .95em ui-monospace, "SF Mono", "Cascadia Mono", Menlo, monospace; }
#log { flex: 1; overflow: auto; list-style: none; padding: 1rem 1.25rem; display: flex;
       flex-direction: column; }
#log::before { content: ""; margin-top: auto; }
#log li { max-width: min(80%, 36rem); margin-top: .7rem; align-self: start; }
#log li.more { margin-top: .2rem; }
#log li.more .by { display: none; }
#log .by { display: block; margin: 0 .8rem .15rem; font-size: .78rem; font-weight: 600;
           color: hsl(var(--hue) 60% var(--tone)); }
#log p { padding: .5rem .85rem; border-radius: 1.1rem 1.1rem 1.1rem .3rem;
         background: var(--bubble); overflow-wrap: anywhere; width: fit-content;
         unicode-bidi: plaintext; }
#log small { display: block; margin: .1rem .8rem 0; color: var(--soft); font-size: .7rem; }
#log .own { align-self: end; }
#log .own p { margin-left: auto; background: var(--accent); color: var(--on-accent);
              border-radius: 1.1rem 1.1rem .3rem 1.1rem; }
#log .own small { text-align: right; }
#log .own .by { text-align: right; }
#log .secret .by { color: var(--secret-text); }
#log .secret .by::before, #to::before {
  content: ""; display: inline-block; flex: none; width: .85em; height: .85em; margin-right: .35em;
  background: currentColor; vertical-align: -.05em; -webkit-mask: var(--lock); mask: var(--lock); }
#log li:has(+ .more):not(.secret, .failed) small { display: none; }
#log .secret p { background: var(--secret); color: var(--text);
                 box-shadow: inset 0 0 0 1px var(--secret-line); }
#log .sending p { opacity: .6; }
#log .failed small { color: var(--bad); }
#log .event { align-self: center; max-width: 100%; color: var(--soft); font-size: .8rem;
              text-align: center; overflow-wrap: anywhere; }
#composer { padding: .75rem 1.25rem max(1rem, env(safe-area-inset-bottom)); }
#to { display: flex; align-items: center; gap: .1rem; margin-bottom: .5rem;
      padding: .3rem .4rem .3rem .85rem; border-radius: .75rem; background: var(--secret);
      color: var(--secret-text); font-size: .85rem; }
#to span { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.close { flex: none; width: 1.8rem; height: 1.8rem; border-radius: 50%; line-height: 1; }
.close:hover { background: #8883; }
.row { display: flex; gap: .6rem; }
input { width: 100%; min-width: 0; padding: .65rem 1rem; border: 1px solid var(--line);
        border-radius: 1.4rem; background: var(--panel); }
input::placeholder { color: var(--soft); opacity: 1; }
.main { flex: none; padding: .65rem 1.25rem; border-radius: 1.4rem; background: var(--accent);
        color: var(--on-accent); font-weight: 600; }
.main:hover { filter: brightness(1.08); }
.main:disabled { opacity: .45; cursor: default; }

dialog { width: min(24rem, 100% - 2rem); margin: auto; padding: 1.75rem;
         border: 1px solid var(--line); border-radius: 1.25rem; background: var(--paper);
         color: var(--text); box-shadow: 0 1.5rem 4rem #0003; }
dialog::backdrop { background: color-mix(in srgb, var(--back) 75%, transparent);
                   backdrop-filter: blur(6px); }
dialog form { display: grid; gap: 1rem; }
dialog h1 { font-size: 1.5rem; line-height: 1.2; letter-spacing: -.01em; }
dialog p { color: var(--soft); margin-top: .35rem; font-size: .9rem; }
dialog label { display: grid; gap: .3rem; font-size: .85rem; font-weight: 600; }
dialog input { border-radius: .75rem; font-size: 1rem; font-weight: 400; }
dialog .main { border-radius: .75rem; }
#rooms { display: flex; flex-wrap: wrap; gap: .4rem; margin-top: -.5rem; }
#rooms button { padding: .15rem .7rem; border-radius: 1rem; background: var(--bubble);
                color: var(--soft); font-size: .82rem; }
#rooms button:hover { color: var(--text); }

@media (max-width: 46rem) {
  #app { width: 100%; height: 100%; border-radius: 0; box-shadow: none;
         grid-template: auto minmax(0, 1fr) / minmax(0, 1fr); }
  aside { border-right: 0; border-bottom: 1px solid var(--line); }
  .top { padding: .75rem 1rem .5rem; }
  h2, .hint { display: none; }
  #people { display: flex; gap: .35rem; padding: .1rem .75rem .65rem; overflow: auto hidden;
            scrollbar-width: none; }
  #people li { flex: none; max-width: 15rem; }
  #people button { padding: .35rem .6rem .35rem .4rem; gap: .5rem; background: var(--paper);
                   box-shadow: inset 0 0 0 1px var(--line); }
  .who b { font-size: .88rem; }
  .badge { font-size: .62rem; }
  #log { padding: .75rem 1rem; }
  #log li { max-width: 85%; }
  #composer { padding: .5rem .75rem max(.75rem, env(safe-area-inset-bottom)); }
  #advice { padding: .6rem 1rem; }
  #advice code { white-space: normal; }
}
</style>
</head>
<body>
<main id="app">
  <aside>
    <div class="top">
      <button id="where" title="Change your name or the room">
        <b>Chat</b><small>change</small>
      </button>
      <span id="state" role="status">not connected</span>
    </div>
    <h2 id="count">Nobody here yet</h2>
    <ul id="people" aria-label="Who is here"></ul>
    <p class="hint">Pick somebody to write to them privately.</p>
  </aside>
  <section id="talk">
    <div id="advice" hidden>
      <span>The official client could not be loaded; a small built-in one does its work, over
      WebSocket only. To have it without internet: <code>npm install socket.io-client</code> and
      start this example with
      <code>--client-path=node_modules/socket.io-client/dist</code></span>
      <button class="close" aria-label="Close">✕</button>
    </div>
    <ol id="log" aria-live="polite" aria-label="Messages"></ol>
    <form id="composer" autocomplete="off">
      <div id="to" hidden>
        <span></span><button class="close" type="button" aria-label="To everybody">✕</button>
      </div>
      <div class="row">
        <input id="text" maxlength="2000" aria-label="Message" enterkeyhint="send">
        <button class="main" disabled>Send</button>
      </div>
    </form>
  </section>
</main>
<dialog id="door">
  <form method="dialog">
    <div><h1>Come in</h1><p>Choose a name, and a room to talk in.</p></div>
    <label>Your name
      <input id="name" maxlength="30" required pattern=".*\S.*" autocomplete="nickname">
    </label>
    <label>Room
      <input id="room" maxlength="30" required pattern=".*\S.*" autocomplete="off"
             autocapitalize="off">
    </label>
    <div id="rooms">
      <button type="button">lobby</button>
      <button type="button">music</button>
      <button type="button">kitchen</button>
    </div>
    <button class="main">Enter</button>
  </form>
</dialog>

<script>
"use strict";
const $ = (id) => document.getElementById(id);
const me = { name: "", room: "" };
let connect;            // the official client's io(), or the fallback
let socket;             // the result of connect()
let receiver = null;    // {id, name} of the only reader of the next message, null for everybody

// -- The conversation with the server

function start(client) {
  if (connect) return;
  connect = client;
  $("advice").hidden = client !== fallback;
  if (me.name) open();
}

function open() {
  const transport = new URLSearchParams(location.search).get("transport");
  socket = connect({ auth: (give) => give(me), ...(transport && { transports: [transport] }) });
  socket.on("connect", () => {
    showState("connected");
    const upgraded = () => socket.emit("upgraded");
    socket.io?.engine.on("upgrade", upgraded);    // from polling to WebSocket
    upgraded();    // the upgrade may have come before this event
  });
  socket.on("disconnect", (reason) => {
    showState("reconnecting …");
    if (reason === "io server disconnect") socket.connect();
  });
  socket.on("connect_error", () => showState("reconnecting …"));
  socket.on("people", showPeople);
  socket.on("joined", (name) => showEvent(make("bdi", "", name), " joined"));
  socket.on("left", (name) => showEvent(make("bdi", "", name), " left"));
  socket.on("say", (message) => showMessage(message));
  socket.on("private", (message, acknowledge) => {
    showMessage(message, "secret");
    acknowledge?.("delivered");
  });
}

// Send an event; the promise gives the server's ack, or an error after some seconds.
function ask(...event) {
  return new Promise((resolve) => {
    setTimeout(resolve, 8000, { error: "no answer from the server" });
    socket.emit(...event, resolve);
  });
}

async function send(text) {
  const look = `own sending ${receiver ? "secret" : ""}`;
  const line = showMessage({ id: socket.id, text }, look, receiver);
  const answer = await (receiver ? ask("private", receiver.id, text) : ask("say", text));
  line.classList.remove("sending");
  line.classList.toggle("failed", Boolean(answer.error));
  const outcome = answer.error ? `not delivered: ${answer.error}`
    : answer.note ?? `${answer.answer ?? "sent"} ✓`;
  line.querySelector("small").append(` · ${outcome}`);
}

// -- The view. Text of other people goes into text nodes only.

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}

function showState(words) {
  $("state").textContent = words;
  $("app").classList.toggle("on", socket.connected);
  $("composer").querySelector(".main").disabled = !socket.connected;
}

function showRoom() {
  const title = make("b", "", `# ${me.room}`);
  $("where").replaceChildren(title, make("small", "", `as ${me.name} · change`));
  $("text").placeholder = receiver ? `Only ${receiver.name} will read this`
    : `Message # ${me.room}`;
  $("to").hidden = !receiver;
  $("to").firstElementChild.textContent = receiver ? `Privately to ${receiver.name}` : "";
  for (const button of $("people").querySelectorAll("button"))
    button.classList.toggle("picked", button.dataset.id === receiver?.id);
  document.title = `# ${me.room} · Chat`;
}

function showPeople(people) {
  const { length } = people;
  $("count").textContent = length === 1 ? "Only you are here" : `${length} people here`;
  const isMe = ({ id }) => id === socket.id;
  people.sort((a, b) => isMe(b) - isMe(a) || a.name.localeCompare(b.name));
  $("people").replaceChildren(...people.map((person) => {
    const self = isMe(person);
    const face = make("span", "face", [...person.name].slice(0, 2).join("").toUpperCase());
    face.style.setProperty("--hue", hue(person.name));
    const badges = person.via.split(" · ").map((word) => make("span", "badge", word));
    const name = make("b", "", person.name, make("em", "", self ? " (you)" : ""));
    const who = make("span", "who", name, make("span", "badges", ...badges));
    const button = make("button", "", face, who);
    button.disabled = self;
    button.dataset.id = person.id;
    button.title = self ? "" : `Write to ${person.name} privately`;
    button.onclick = () => writeTo(person);
    return make("li", "", button);
  }));
  showRoom();
}

function writeTo(person) {
  receiver = person;
  showRoom();
  $("text").focus();
}

let following = true;    // the log scrolls with new lines, unless the user has scrolled back
const follow = () => { if (following) $("log").scrollTop = $("log").scrollHeight; };
$("log").onscroll = ({ target: { scrollHeight, scrollTop, clientHeight } }) => {
  following = scrollHeight - scrollTop - clientHeight < 60;
};
new ResizeObserver(follow).observe($("log"));

function addLine(line) {
  following ||= line.classList.contains("own");
  $("log").append(line);
  while ($("log").children.length > 500) $("log").firstChild.remove();
  follow();
  return line;
}

function showEvent(...words) {
  return addLine(make("li", "event", ...words));
}

function showMessage({ id, name = me.name, text }, className = "", to = null) {
  const secret = className.includes("secret");
  const own = id === socket.id;
  const whose = own && !to ? "" : make("bdi", "", to?.name ?? name);
  const by = make("span", "by", to ? "to " : "", whose, secret && !to ? ", privately" : "");
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const line = make("li", className, by, make("p", "", text), make("small", "", time));
  line.style.setProperty("--hue", hue(name));
  line.dataset.talk = `${id} ${secret ? to?.id ?? "me" : ""}`;
  line.classList.toggle("more", $("log").lastChild?.dataset?.talk === line.dataset.talk);
  return addLine(line);
}

// -- The actions of the user

$("composer").onsubmit = (submit) => {
  submit.preventDefault();
  const text = $("text").value.trim();
  if (!text || !socket?.connected) return;
  $("text").value = "";
  send(text);
};

$("to").querySelector(".close").onclick = () => writeTo(null);
$("advice").querySelector(".close").onclick = () => { $("advice").hidden = true; };
$("where").onclick = () => {
  if (me.name) [$("name").value, $("room").value] = [me.name, me.room];
  $("door").showModal();
};
$("door").oncancel = (cancel) => { if (!me.name) cancel.preventDefault(); };
$("rooms").onclick = ({ target }) => {
  if (target !== $("rooms")) $("room").value = target.textContent;
};

$("door").querySelector("form").onsubmit = () => {
  const moved = me.room && me.room !== $("room").value.trim();
  me.name = $("name").value.trim();
  me.room = $("room").value.trim();
  localStorage.setItem("chat name", me.name);
  location.hash = new URLSearchParams({ room: me.room });
  if (moved) $("log").replaceChildren();
  if (moved) receiver = null;
  showRoom();
  const showError = ({ error }) => error && showEvent(error);
  if (socket?.connected) ask("enter", me.name, me.room).then(showError);
  else if (!socket && connect) open();    // `auth` tells name and room
  $("text").focus();
};

$("name").value = localStorage.getItem("chat name") ?? "";
$("room").value = new URLSearchParams(location.hash.slice(1)).get("room") || "lobby";
$("door").showModal();
setTimeout(() => start(fallback), 5000);    // if the CDN does not answer
</script>

<script>
// This function stands in for the official client: it speaks Engine.IO 4 and Socket.IO 5 over
// WebSocket, as far as this page needs them.
function fallback({ auth }) {
  const listeners = {}, acks = {};
  let web, timer, patience, lastAck = 0, failures = 0;
  const fire = (name, ...args) => (listeners[name] ?? []).forEach((listener) => listener(...args));
  const socket = {
    connected: false,
    on(name, listener) { (listeners[name] ??= []).push(listener); },
    emit(...event) {
      const id = typeof event.at(-1) === "function" ? ++lastAck : "";
      if (id) acks[id] = event.pop();
      if (socket.connected) web.send(`42${id}${JSON.stringify(event)}`);
    },
  };
  const packets = {
    0(id, { pingInterval, pingTimeout }) {
      patience = pingInterval + pingTimeout;
      auth((me) => web.send(`40${JSON.stringify(me)}`));
    },
    2() { web.send("3"); },    // a ping is answered by a pong
    40(id, welcome) {
      Object.assign(socket, { id: welcome.sid, connected: true });
      failures = 0;
      fire("connect");
    },
    42(id, event) {
      fire(...event, (...answer) => id && web.send(`43${id}${JSON.stringify(answer)}`));
    },
    43(id, answer) { acks[id]?.(...answer); delete acks[id]; },
  };
  (function open() {
    const origin = location.origin.replace("http", "ws");
    web = new WebSocket(`${origin}/socket.io/?EIO=4&transport=websocket`);
    web.onmessage = ({ data }) => {
      const [, type, id, rest] = /^(4?\d)(\d*)(.*)$/s.exec(data);
      if (type in packets) packets[type](id, rest && JSON.parse(rest));
      else web.close();    // the server has ended the connection
      clearTimeout(timer);
      // On a dead line, close() would not call `onclose` for a long time.
      timer = setTimeout(() => { web.close(); web.onclose(); }, patience);
    };
    web.onclose = () => {
      clearTimeout(timer);
      web.onmessage = web.onclose = null;
      const lost = socket.connected ? "disconnect" : "connect_error";
      socket.connected = false;
      fire(lost, "transport close");
      setTimeout(open, Math.min(5000, 500 * 2 ** failures++));
    };
  })();
  return socket;
}
</script>
<script async src="/socket.io/socket.io.js"
        onload="start(window.io ?? fallback)" onerror="start(fallback)"></script>
</body>
</html>
"""


if __name__ == "__main__":
    main()
