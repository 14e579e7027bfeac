// The newest JavaScript client against app.py, over each of its ways to connect.
//
//     node modern.mjs http://127.0.0.1:PORT [words that the names of the checks must contain]

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import net from "node:net";
import { Transform } from "node:stream";
import { io } from "socket.io-client";
import { check, closeReason, eventually, finish, pause, within } from "./checks.mjs";

const [server, words = ""] = process.argv.slice(2);

const BOTH = ["polling", "websocket"];
const WAYS = {
  "polling": { transports: ["polling"], protocols: ["xhr-polling"] },
  "websocket": { transports: ["websocket"], protocols: ["websocket"] },
  "upgrading": { transports: BOTH, protocols: ["xhr-polling", "websocket"] },    // acts while the upgrade is going on
  "upgraded": { transports: BOTH, protocols: ["websocket"], waitsForUpgrade: true },
};

const UNUSUAL = "é€😀\u2028";
const PICTURE = Buffer.from([...Array(256).keys()]);
const COUNT = 200;
const UPGRADE_SECONDS = 4;    // below the server's ping interval: its ping would set a stalled upgrade going again

// -- The clients of one check -----------------------------------------------------------

class Clients {
  constructor(way) {
    this.way = way;
    this.opened = [];
  }

  // A client that is connecting. Each has a connection of its own; none reconnects unless told to.
  open({ namespace = "/", address = server, ...options } = {}) {
    const socket = io(address + namespace, {
      transports: this.way.transports, forceNew: true, reconnection: false, ...options,
    });
    this.opened.push(socket);
    return socket;
  }

  async connect(options) {
    const socket = this.open(options);
    const upgrade = this.way.waitsForUpgrade && next(socket.io.engine, "upgrade", UPGRADE_SECONDS);
    await next(socket, "connect");
    await upgrade;
    return socket;
  }

  connectSeveral(count) {
    return Promise.all(Array.from({ length: count }, () => this.connect()));
  }

  closeAll() {
    this.opened.forEach((socket) => socket.io._close());
  }
}

// The arguments of the next `name`. Listening starts at once, so call it before what brings the event about.
function next(emitter, name, seconds = 5) {
  const heard = new Promise((resolve) => emitter.once(name, (...args) => resolve(args)));
  return handled(within(seconds, `"${name}"`, heard));
}

// The first arguments of `count` events, in the order in which they came.
function nextSeveral(socket, name, count) {
  const heard = [];
  const all = new Promise((resolve) => {
    socket.on(name, (value) => heard.push(value) === count && resolve(heard));
  });
  return handled(within(10, `${count} times "${name}"`, all));
}

// A check that fails early never looks at the promises it made before.
function handled(promise) {
  promise.catch(() => {});
  return promise;
}

// All arguments of the ack.
function ask(socket, name, ...args) {
  return new Promise((resolve, reject) => {
    socket.timeout(5000).emit(name, ...args, (error, ...answer) => {
      error ? reject(new Error(`no ack of "${name}"`)) : resolve(answer);
    });
  });
}

async function echoOf(socket, ...args) {
  const echoed = next(socket, "echo");
  socket.emit("echo", ...args);
  return echoed;
}

// What "told" brought until now. The ack comes after everything the server sent before it.
function earOf(socket) {
  const heard = [];
  socket.on("told", (text) => heard.push(text));
  return async () => {
    await ask(socket, "ask");
    return heard;
  };
}

function answerQuestions(socket, ...answer) {
  const asked = [];
  socket.on("question", (...args) => {
    const reply = args.pop();
    asked.push(args);
    reply(...answer);
  });
  return asked;
}

async function answered(socket, question, ...args) {
  const result = next(socket, "answered");
  socket.emit(question, ...args);
  return result;
}

// A TCP proxy: a line that is slow, or is cut as by a tunnel.
class Proxy {
  constructor({ port, hostname }, { delay = 0 } = {}) {
    this.down = false;
    this.ends = new Set();
    this.listener = net.createServer((near) => {
      const far = net.connect(port, hostname);
      near.pipe(slowly(delay)).pipe(far).pipe(slowly(delay)).pipe(near);
      [near, far].forEach((end) => this.watch(end));
    });
  }

  async start() {
    await new Promise((resolve) => this.listener.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  cut() {
    this.ends.forEach((end) => end.destroy());
  }

  async cutFor(seconds) {
    this.down = true;
    this.cut();
    await pause(seconds);
    this.down = false;
  }

  stop() {
    this.listener.close();
    this.cut();
  }

  // Private.

  watch(end) {
    this.ends.add(end);
    end.on("error", () => {});
    end.on("close", () => this.ends.delete(end));
    if (this.down) {
      end.destroy();
    }
  }
}

async function throughProxy(settings, act) {
  const proxy = new Proxy(new URL(server), settings);
  try {
    await act(await proxy.start(), proxy);
  } finally {
    proxy.stop();
  }
}

function slowly(delay) {
  return new Transform({
    transform: (chunk, _encoding, done) => { setTimeout(done, delay * 1000, null, chunk); },
  });
}

// -- The checks -------------------------------------------------------------------------

const checks = {
  async "connects, and both sides agree on who it is"(clients) {
    const socket = await clients.connect();
    const [who] = await ask(socket, "who am i");
    assert.equal(who.id, socket.id);
    assert.match(socket.id, /^[\w-]{20}$/);
    assert.notEqual(socket.id, socket.io.engine.id, "the secret id of the connection is public");
    assert.equal(who.dialect, "EIO4");
    assert.ok(clients.way.protocols.includes(who.protocol), `the server says ${who.protocol}`);
  },

  async "brings its auth to the handler"(clients) {
    const auth = { token: "tea", cups: [1, 2], name: UNUSUAL };
    const socket = await clients.connect({ auth });
    const [who] = await ask(socket, "who am i");
    assert.deepEqual(who.auth, auth);
  },

  async "gets a message back"(clients) {
    const socket = await clients.connect();
    for (const message of ["hello", "", "two\nlines", UNUSUAL, { a: [1, null] }, [1, "two"], 17]) {
      const echoed = next(socket, "message");
      socket.send(message);
      assert.deepEqual(await echoed, [message]);
    }
  },

  async "gets an event back with all its arguments"(clients) {
    const socket = await clients.connect();
    const args = [1, -2.5, 9007199254740991, "text", null, true, [], {}, { deep: [{ er: [false] }] }, '"\\/\b\u0000'];
    assert.deepEqual(await echoOf(socket, ...args), args);
    assert.deepEqual(await echoOf(socket), []);
  },

  async "may send an event that nobody listens to"(clients) {
    const socket = await clients.connect();
    socket.emit("nobody listens", 1);
    assert.deepEqual(await echoOf(socket, "still here"), ["still here"]);
  },

  async "gets emoji and friends back, in names, arguments and keys"(clients) {
    const socket = await clients.connect();
    const name = `echo ${UNUSUAL}`;
    const echoed = next(socket, name);
    socket.emit(name, UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "\u2029\ud7ff\uffff");
    assert.deepEqual(await echoed, [UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "\u2029\ud7ff\uffff"]);
  },

  async "gets acks: none, one and several arguments"(clients) {
    const socket = await clients.connect();
    const [nothing] = await ask(socket, "ask");
    assert.equal(nothing ?? null, null);
    assert.deepEqual(await ask(socket, "ask", "one"), ["one"]);
    assert.deepEqual(await ask(socket, "ask", ["a", "list"]), [["a", "list"]]);
    assert.deepEqual(await ask(socket, "ask", 1, "two", { three: 3 }), [1, "two", { three: 3 }]);
  },

  async "gets the ack of a coroutine"(clients) {
    const socket = await clients.connect();
    assert.deepEqual(await ask(socket, "ask a slow one", 1, 2), [1, 2]);
  },

  async "gets each of many acks for its own question"(clients) {
    const socket = await clients.connect();
    const questions = Array.from({ length: 50 }, (_, number) => number);
    const answers = await Promise.all(questions.map((number) => ask(socket, "ask", number)));
    assert.deepEqual(answers.flat(), questions);
  },

  async "answers the server's questions"(clients) {
    const socket = await clients.connect();
    const asked = answerQuestions(socket, "fine");
    assert.deepEqual(await answered(socket, "question me", "how", "are you"), ["fine"]);
    assert.deepEqual(await answered(socket, "question me by callback", UNUSUAL), ["fine"]);
    assert.deepEqual(asked, [["how", "are you"], [UNUSUAL]]);
  },

  async "answers the server with several arguments, or none"(clients) {
    const [talker, mute] = await clients.connectSeveral(2);
    answerQuestions(talker, 1, ["two"]);
    answerQuestions(mute);
    assert.deepEqual(await answered(talker, "question me"), [[1, ["two"]]]);
    assert.deepEqual(await answered(mute, "question me"), [null]);
  },

  async "is one of those who answer a question to a room"(clients) {
    const [asker, ann, bob] = await clients.connectSeveral(3);
    answerQuestions(ann, "ann");
    answerQuestions(bob, "bob");
    await ask(ann, "enter", "quiz");
    await ask(bob, "enter", "quiz");
    assert.deepEqual(await ask(asker, "question the room", "quiz", "who?"),
      [[{ [ann.id]: "ann", [bob.id]: "bob" }, []]]);
  },

  async "sends and gets bytes, nested ones too"(clients) {
    const socket = await clients.connect();
    const args = [PICTURE, { list: [1, Buffer.from("é"), { deep: PICTURE }], empty: Buffer.alloc(0) }, "last"];
    assert.deepEqual(await echoOf(socket, ...args), args);
  },

  async "gets bytes that the server made"(clients) {
    const socket = await clients.connect();
    const picture = next(socket, "picture");
    socket.emit("send the picture");
    const layers = [Buffer.alloc(0), { deep: Buffer.from(PICTURE).reverse() }];
    assert.deepEqual(await picture, [PICTURE, { name: "é", layers }]);
  },

  async "gets and gives bytes in acks"(clients) {
    const socket = await clients.connect();
    const parcel = { inside: [PICTURE] };
    assert.deepEqual(await ask(socket, "ask", parcel, Buffer.from("x")), [parcel, Buffer.from("x")]);
    const asked = answerQuestions(socket, parcel);
    assert.deepEqual(await answered(socket, "question me", parcel), [parcel]);
    assert.deepEqual(asked, [[parcel]]);
  },

  async "keeps the order of events with and without bytes"(clients) {
    const socket = await clients.connect();
    const values = Array.from({ length: 30 }, (_, n) => (n % 3 ? n : Buffer.from([n])));
    const echoed = nextSeveral(socket, "echo", values.length);
    values.forEach((value) => socket.emit("echo", value));
    assert.deepEqual(await echoed, values);
  },

  async "hears what is told to its rooms, and only that"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map(earOf);
    await ask(ann, "enter", "tea");
    await ask(bob, "enter", "tea");
    await ask(eve, "enter", "coffee");
    ann.emit("tell the room", "tea", "to all");
    ann.emit("tell my room mates", "tea", "to the others");
    await ask(ann, "ask");
    assert.deepEqual(await annHeard(), ["to all"]);
    assert.deepEqual(await bobHeard(), ["to all", "to the others"]);
    assert.deepEqual(await eveHeard(), []);
  },

  async "hears nothing more from a room it has left"(clients) {
    const [ann, bob] = await clients.connectSeveral(2);
    const bobHeard = earOf(bob);
    await ask(bob, "enter", "tea");
    await ask(bob, "exit", "tea");
    ann.emit("tell the room", "tea", "too late");
    await ask(ann, "ask");
    assert.deepEqual(await bobHeard(), []);
  },

  async "finds a room with an unusual name"(clients) {
    const [ann, bob] = await clients.connectSeveral(2);
    const told = next(bob, "told");
    assert.deepEqual(await ask(bob, "enter", UNUSUAL), [`entered ${UNUSUAL}`]);
    ann.emit("tell the room", UNUSUAL, UNUSUAL);
    assert.deepEqual(await told, [UNUSUAL]);
  },

  async "is a room of its own"(clients) {
    const [ann, bob] = await clients.connectSeveral(2);
    const told = next(bob, "told");
    ann.emit("tell the room", bob.id, "between us");
    assert.deepEqual(await told, ["between us"]);
  },

  async "broadcasts to all others but not to itself"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map(earOf);
    ann.emit("tell the others", "news");
    assert.deepEqual(await annHeard(), []);
    assert.deepEqual(await bobHeard(), ["news"]);
    assert.deepEqual(await eveHeard(), ["news"]);
  },

  async "is admitted to a namespace with the right token"(clients) {
    const socket = await clients.connect({ namespace: "/admin", auth: { token: "secret" } });
    assert.deepEqual(await echoOf(socket, "hello"), ["hello"]);
    assert.deepEqual(await ask(socket, "ask", PICTURE, 2), [PICTURE, 2]);
  },

  async "is refused with the server's words and data"(clients) {
    const socket = clients.open({ namespace: "/admin", auth: { token: "wrong" } });
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "Not authorized");
    assert.deepEqual(error.data, { why: "the token is wrong" });
    assert.equal(socket.connected, false);
  },

  async "is refused in a namespace that does not exist"(clients) {
    const socket = clients.open({ namespace: "/nowhere" });
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "Invalid namespace");
  },

  async "shares one connection between namespaces, also after one refused it"(clients) {
    const root = await clients.connect();
    const admin = root.io.socket("/admin", { auth: { token: "wrong" } });
    await next(admin, "connect_error");
    admin.auth = { token: "secret" };
    admin.connect();
    await next(admin, "connect");
    assert.notEqual(admin.id, root.id);
    const adminHeard = earOf(admin);
    root.emit("tell the others", "not across namespaces");
    assert.deepEqual(await echoOf(root, "root"), ["root"]);
    assert.deepEqual(await adminHeard(), []);
  },

  async "sends and gets a string of 300 kB"(clients) {
    const socket = await clients.connect();
    for (const text of ["x".repeat(300_000), "€".repeat(100_000)]) {
      const [echoed] = await echoOf(socket, text);
      assert.ok(echoed === text, `${echoed.length} characters came back, or others`);
    }
  },

  async "sends and gets 300 kB of bytes"(clients) {
    const socket = await clients.connect();
    const blob = randomBytes(300_000);
    const [echoed] = await echoOf(socket, blob);
    assert.ok(blob.equals(echoed), `${echoed.length} bytes came back, or others`);
    assert.deepEqual(await ask(socket, "measure", blob), [["bytes", blob.length]]);
  },

  async "gets 200 events in order"(clients) {
    const socket = await clients.connect();
    const ticks = nextSeveral(socket, "tick", COUNT);
    socket.emit("burst", COUNT);
    assert.deepEqual(await ticks, [...Array(COUNT).keys()]);
  },

  async "sends 200 events in order"(clients) {
    const socket = await clients.connect();
    for (let number = 0; number < COUNT; number += 1) {
      socket.emit("note", number);
    }
    assert.deepEqual(await ask(socket, "read the notes"), [[...Array(COUNT).keys()]]);
  },

  async "may say volatile and compress"(clients) {
    const socket = await clients.connect();
    const surely = next(socket, "shrugged for sure");
    socket.volatile.emit("echo", "perhaps");
    socket.compress(false).emit("echo", "plain");
    socket.compress(true).emit("shrug");
    await surely;
    assert.deepEqual(await ask(socket, "ask", "still here"), ["still here"]);
  },

  async "is disconnected by the server"(clients) {
    const socket = await clients.connect();
    const id = socket.id;
    const disconnected = next(socket, "disconnect");
    socket.emit("kick");
    const [reason] = await disconnected;
    assert.equal(reason, "io server disconnect");
    assert.equal(await closeReason(server, id), "server namespace disconnect");
  },

  async "hears the last words, and then that the server has ended the connection"(clients) {
    const socket = await clients.connect();
    const [bye, disconnected] = [next(socket, "bye"), next(socket, "disconnect")];
    socket.emit("expel");
    await bye;
    assert.equal((await disconnected)[0], "io server disconnect");
  },

  async "may come back on the same connection after the server disconnected it"(clients) {
    const root = await clients.connect();
    const admin = root.io.socket("/admin", { auth: { token: "secret" } });    // keeps the connection open meanwhile
    await next(admin, "connect");
    const [id, engineId] = [root.id, root.io.engine.id];
    const disconnected = next(root, "disconnect");
    root.emit("kick");
    await disconnected;
    root.connect();
    await next(root, "connect");
    assert.equal(root.io.engine.id, engineId, "the connection is another one");
    assert.notEqual(root.id, id);
    assert.deepEqual(await echoOf(root, "back"), ["back"]);
  },

  async "disconnects itself, and the server knows why"(clients) {
    const socket = await clients.connect();
    const id = socket.id;
    const disconnected = next(socket, "disconnect");
    socket.disconnect();
    const [reason] = await disconnected;
    assert.equal(reason, "io client disconnect");
    assert.equal(await closeReason(server, id), "client namespace disconnect");
  },

  async "closes its transport, and the server notices"(clients) {
    const socket = await clients.connect();
    const id = socket.id;
    socket.io.engine.close();
    assert.equal(await closeReason(server, id), "transport close");
  },

  async "reconnects when the server drops its connection"(clients) {
    const socket = await clients.connect({ reconnection: true, reconnectionDelay: 50 });
    const id = socket.id;
    const [disconnected, connected] = [next(socket, "disconnect"), next(socket, "connect")];
    socket.emit("drop");
    const [reason] = await disconnected;
    assert.equal(reason, "transport close");
    await connected;
    assert.notEqual(socket.id, id);
    assert.deepEqual(await echoOf(socket, "back"), ["back"]);
  },

  async "reconnects after its line was down, in all its namespaces"(clients) {
    await throughProxy({}, async (address, proxy) => {
      const root = await clients.connect({ address, reconnection: true, reconnectionDelay: 50 });
      const admin = root.io.socket("/admin", { auth: { token: "secret" } });
      await next(admin, "connect");
      const [disconnected, ...connected] = [next(root, "disconnect"), next(root, "connect"), next(admin, "connect")];
      await proxy.cutFor(0.2);
      const [reason] = await disconnected;
      assert.match(reason, /^transport (close|error)$/);
      await Promise.all(connected);
      assert.deepEqual(await echoOf(root, "back"), ["back"]);
      assert.deepEqual(await echoOf(admin, "back"), ["back"]);
    });
  },

  // A polling client, like a browser, repeats a poll that was cut and may never tell that anything happened.
  async "is reached again after its connections were cut"(clients) {
    await throughProxy({}, async (address, proxy) => {
      const socket = await clients.connect({ address, reconnection: true, reconnectionDelay: 50 });
      await pause(0.1);    // now the next poll waits
      proxy.cut();
      await eventually(5, "an answer", () => ask(socket, "ask", "back").catch(() => null));
      const [friend, told] = [await clients.connect(), next(socket, "told")];
      friend.emit("tell the room", socket.id, "welcome");
      assert.deepEqual(await told, ["welcome"]);
    });
  },
};

const RECOVERY = {
  async "is who it was after its line was cut, and has missed nothing"(clients) {
    await throughProxy({ delay: 0.005 }, async (address, proxy) => {
      const friend = await clients.connect({ path: "/recover" });
      const socket = await clients.connect({ address, path: "/recover", reconnection: true, reconnectionDelay: 30 });
      const { id } = socket;
      const heard = [];
      let lost = 0;
      socket.on("told", (number) => heard.push(number));
      socket.on("disconnect", () => { lost += 1; });
      await ask(socket, "enter", "tea");
      socket.emit("remember", UNUSUAL);
      assert.deepEqual(await ask(socket, "recall"), [[false, UNUSUAL, ["tea"]]]);
      const sent = [];
      const telling = setInterval(() => friend.emit("tell the room", "tea", sent.push(sent.length) - 1), 3);
      try {
        for (const seconds of [0.1, 0.03, 0.05, 0.07, 0.02]) {    // also while it upgrades
          await pause(seconds);
          const [before, back] = [lost, next(socket, "connect")];
          await eventually(5, "a cut to hurt", () => {    // between two polls it does not
            proxy.cut();
            return pause(0.02).then(() => lost > before);
          });
          await back;
          assert.equal(socket.recovered, true);
          assert.equal(socket.id, id);
        }
      } finally {
        clearInterval(telling);
      }
      await ask(friend, "ask");
      assert.deepEqual(await ask(socket, "recall"), [[true, UNUSUAL, ["tea"]]]);
      assert.ok(sent.length > 20, `only ${sent.length} were sent`);
      assert.deepEqual(heard, sent);
    });
  },

  async "sends and gets compressed messages, if it has offered to"(clients) {
    const options = { path: "/recover", perMessageDeflate: { threshold: 0 } };
    const [socket, plain] = [await clients.connect(options), await clients.connect({ path: "/recover" })];
    if (clients.way.transports.length === 1 || clients.way.waitsForUpgrade) {
      const agreed = clients.way.protocols.includes("websocket") ? /permessage-deflate/ : /^$/;
      assert.match(socket.io.engine.transport.ws?.extensions ?? "", agreed);
    }
    for (const text of ["short", UNUSUAL.repeat(5000), randomBytes(20_000).toString("base64")]) {
      assert.equal((await echoOf(socket, text))[0], text);
      assert.deepEqual((await echoOf(socket, Buffer.from(text)))[0], Buffer.from(text));
      const told = [next(socket, "told"), next(plain, "told")];
      await ask(socket, "enter", "tea");
      await ask(plain, "enter", "tea");
      plain.emit("tell the room", "tea", text);
      assert.deepEqual((await Promise.all(told)).map(([heard]) => heard), [text, text]);
    }
  },

  async "is somebody new after it has left by itself"(clients) {
    const socket = await clients.connect({ path: "/recover" });
    const { id } = socket;
    socket.disconnect();
    await closeReason(server, id);
    const back = next(socket, "connect");
    socket.connect();
    await back;
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
  },
};

const HEARTBEATS = {
  async "lives through two heartbeats"(clients) {
    const socket = await clients.connect();
    await next(socket.io, "ping", 9);
    await next(socket.io, "ping", 9);    // the server sends a second one only when the first was answered
    assert.deepEqual(await echoOf(socket, "alive"), ["alive"]);
  },
};

const UPGRADE = {
  async "begins with polling and then really upgrades"(clients) {
    const socket = clients.open();
    const upgraded = next(socket.io.engine, "upgrade", UPGRADE_SECONDS);
    assert.equal(socket.io.engine.transport.name, "polling");
    await next(socket, "connect");
    await upgraded;
    assert.equal(socket.io.engine.transport.name, "websocket");
    assert.deepEqual(await echoOf(socket, "over the new transport", PICTURE), ["over the new transport", PICTURE]);
    const [who] = await ask(socket, "who am i");
    assert.equal(who.protocol, "websocket");
  },

  async "loses, doubles and reorders nothing while it upgrades"(clients) {
    await throughProxy({ delay: 0.02 }, async (address) => {    // at once, the upgrade would be over too soon
      const socket = clients.open({ address });
      const upgraded = next(socket.io.engine, "upgrade", UPGRADE_SECONDS);
      await next(socket, "connect");
      assert.equal(socket.io.engine.transport.name, "polling");
      const sent = [];
      const echoed = [];
      socket.on("echo", (number) => echoed.push(number));
      const sending = setInterval(() => socket.emit("echo", sent.push(sent.length) - 1), 1);
      await upgraded.finally(() => clearInterval(sending));
      await ask(socket, "ask");
      assert.ok(sent.length > 0, "nothing was sent during the upgrade");
      assert.deepEqual(echoed, sent);
    });
  },
};

function checksOf(name) {
  return name === "upgrading" ? { ...UPGRADE, ...checks, ...RECOVERY } : { ...checks, ...RECOVERY, ...HEARTBEATS };
}

for (const [way, settings] of Object.entries(WAYS)) {
  for (const [name, body] of Object.entries(checksOf(way))) {
    const sentence = `4.8 ${way}: ${name}`;
    if (sentence.includes(words)) {
      const clients = new Clients(settings);
      await check(sentence, () => body(clients));
      clients.closeAll();
    }
  }
}
finish();
