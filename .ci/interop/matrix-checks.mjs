// What every client of the matrix must manage, over each of its transports.
//
// Runs in Node and in pages, where nothing can be installed: it imports only what runs there too. `stage` is what the
// surroundings provide:
//
//     io                      the client library
//     server                  address of the server
//     lines[transport]        other addresses of it, that can be cut
//     slowLine                one more, that is slow
//     cut(transport)          cuts all connections of that line
//     closeReason(id)         why the server thinks that a client left; waits until it has
//     bytes(numbers)          the type in which this client sends bytes
//     report(result)          takes each { transport, check, error }; no error: it passed

import { transportsOf, wayOf, whySkipped } from "./matrix-clients.mjs";

const UNUSUAL = "é€😀";
const SEPARATORS = "\u2028\u2029";
const COUNT = 200;
const SECONDS = 15;
const PATIENCE = 30;    // seconds, for what some clients take long to encode
const LONG_ENOUGH = 26;    // seconds, in which a server that hears no heartbeat gives up: app.py has 5 + 20

// -- The clients of one check -----------------------------------------------------------

class Clients {
  constructor(client, way, stage) {
    this.dialect = client.dialect;
    this.way = way;
    this.stage = stage;
    this.tag = `${way.name} ${Math.random().toString(36).slice(2)}`;    // others share the server
    this.opened = [];
  }

  open({ namespace = "", address = this.stage.server, parameters = {}, reconnects = false } = {}) {
    const socket = this.dialect.open(this.stage.io, { address, namespace, parameters, options: this.way.options, reconnects });
    this.opened.push(socket);
    return socket;
  }

  async connect(options) {
    const socket = this.open(options);
    await next(socket, "connect");
    return socket;
  }

  connectSeveral(count) {
    return Promise.all(Array.from({ length: count }, () => this.connect()));
  }

  async join(socket, namespace, parameters) {
    const joined = this.dialect.join(socket, namespace, parameters);
    await next(joined, "connect");
    return joined;
  }

  // What "told" brought until now of what this check said. The ack comes after everything the server sent before it.
  earOf(socket) {
    const texts = [];
    socket.on("told", (text) => String(text).endsWith(this.tag) && texts.push(text.slice(0, -this.tag.length - 1)));
    return async () => {
      await ask(socket, "ask", "now");
      return texts;
    };
  }

  tagged(text) {
    return `${text} ${this.tag}`;
  }

  closeAll() {
    this.opened.forEach((socket) => this.dialect.close(socket));
  }
}

// The arguments of the next `name`. Listening starts at once, so call it before what brings the event about.
function next(emitter, name, seconds = SECONDS) {
  return within(seconds, `"${name}"`, new Promise((resolve) => { emitter.once(name, (...args) => resolve(args)); }));
}

// The first arguments of `count` events, in the order in which they came.
function nextSeveral(socket, name, count) {
  const heard = [];
  return within(2 * SECONDS, () => `${count} times "${name}", heard ${heard.length}`, new Promise((resolve) => {
    socket.on(name, (value) => heard.push(value) === count && resolve(heard));
  }));
}

// All arguments of the ack.
function ask(socket, name, ...args) {
  return within(SECONDS, `the ack of "${name}"`, new Promise((resolve) => {
    socket.emit(name, ...args, (...answer) => resolve(answer));
  }));
}

async function echoOf(socket, ...args) {
  return patientEchoOf(socket, SECONDS, ...args);
}

async function patientEchoOf(socket, seconds, ...args) {
  const echoed = next(socket, "echo", seconds);
  socket.emit("echo", ...args);
  return echoed;
}

async function comesBack(socket, text) {
  const [echoed] = await patientEchoOf(socket, PATIENCE, text);
  isTrue(echoed === text, `${echoed?.length} characters came back, or others`);
}

// What comes back of a message; `send` is where the two kinds of message differ.
async function messageOf(socket, message, send = (value) => socket.send(value)) {
  const echoed = next(socket, "message");
  send(message);
  return echoed;
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

// -- The checks -------------------------------------------------------------------------

const FIRST = "connects, and both sides agree on who it is";
const numbers = (count) => Array.from({ length: count }, (_, number) => number);

const CHECKS = {
  async [FIRST](clients) {
    const socket = await clients.connect();
    const [who] = await ask(socket, "who am i");
    same(who.dialect, clients.dialect.name);
    isTrue(clients.way.protocols.includes(who.protocol), `the server says ${who.protocol}`);
    isTrue(/^[\w-]+$/.test(clients.dialect.knownId(socket)), `its id is ${clients.dialect.knownId(socket)}`);
  },

  async "gets a message back"(clients) {
    const socket = await clients.connect();
    for (const message of ["hello", "a:b:c::", UNUSUAL, '"\\/\b<&>\\n']) {
      same(await messageOf(socket, message), [message]);
    }
  },

  async "gets a message of several lines back"(clients) {
    const socket = await clients.connect();
    same(await messageOf(socket, "two\nlines\n"), ["two\nlines\n"]);
  },

  async "gets a JSON message back"(clients) {
    const socket = await clients.connect();
    const send = clients.dialect.hasJSONFlag ? (value) => socket.json.send(value) : undefined;
    for (const message of [{ a: [1, null], [UNUSUAL]: UNUSUAL }, [1, "two"], 17, {}]) {
      same(await messageOf(socket, message, send), [message]);
    }
  },

  async "gets an event back with all its arguments"(clients) {
    const socket = await clients.connect();
    const args = [1, -2.5, "text", null, true, [], {}, { deep: [{ er: [false] }] }, '"\\/\b\u0001\n\\n\\\\n'];
    same(await echoOf(socket, ...args), args);
    same(await echoOf(socket), []);
  },

  async "gets emoji and friends back, in names, arguments and keys"(clients) {
    const socket = await clients.connect();
    const name = "écho €😀";
    const echoed = next(socket, name);
    socket.emit(name, UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "ÿ\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10ffff}");
    same(await echoed, [UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "ÿ\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10ffff}"]);
  },

  async "gets letters of Latin-1 back, alone"(clients) {    // where one encoding is easily taken for two
    const socket = await clients.connect();
    for (const text of ["é", "ÿ÷", "Größe", "£ §"]) {
      same(await echoOf(socket, text), [text]);
      same(await messageOf(socket, text), [text]);
    }
  },

  async "gets the separators of lines and paragraphs back, also in acks"(clients) {
    const socket = await clients.connect();
    same(await echoOf(socket, SEPARATORS), [SEPARATORS]);
    same(await ask(socket, "ask", SEPARATORS), [SEPARATORS]);
  },

  async "gets acks: none, one and several arguments"(clients) {
    const socket = await clients.connect();
    const [nothing = null] = await ask(socket, "ask");
    same(nothing, null);
    same(await ask(socket, "ask", "one"), ["one"]);
    same(await ask(socket, "ask", 1, "two", { three: UNUSUAL }), [1, "two", { three: UNUSUAL }]);
    same(await ask(socket, "ask a slow one", 1, 2), [1, 2]);
  },

  async "gets each of many acks for its own question"(clients) {
    const socket = await clients.connect();
    const answers = await Promise.all(numbers(50).map((number) => ask(socket, "ask", number)));
    same(answers.flat(), numbers(50));
  },

  async "answers the server's questions"(clients) {
    const socket = await clients.connect();
    const asked = answerQuestions(socket, UNUSUAL);
    same(await answered(socket, "question me", "how", "are you"), [UNUSUAL]);
    same(await answered(socket, "question me by callback", UNUSUAL), [UNUSUAL]);
    same(asked, [["how", "are you"], [UNUSUAL]]);
  },

  async "answers the server with several arguments, or none"(clients) {
    const [talker, mute] = await clients.connectSeveral(2);
    answerQuestions(talker, 1, ["two"]);
    answerQuestions(mute);
    same(await answered(talker, "question me"), [[1, ["two"]]]);
    same(await answered(mute, "question me"), [null]);
  },

  async "hears what is told to its rooms, and only that"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map((socket) => clients.earOf(socket));
    const [tea, coffee] = [`${UNUSUAL} ${clients.tag}`, `coffee ${clients.tag}`];
    same(await ask(ann, "enter", tea), [`entered ${tea}`]);
    await ask(bob, "enter", tea);
    await ask(eve, "enter", coffee);
    ann.emit("tell the room", tea, clients.tagged("to all"));
    ann.emit("tell my room mates", tea, clients.tagged("to the others"));
    await ask(ann, "ask", "done");
    same(await annHeard(), ["to all"]);
    same(await bobHeard(), ["to all", "to the others"]);
    same(await eveHeard(), []);
    await ask(bob, "exit", tea);
    ann.emit("tell the room", tea, clients.tagged("after bob left"));
    await ask(ann, "ask", "done");
    same(await annHeard(), ["to all", "after bob left"]);
    same(await bobHeard(), ["to all", "to the others"]);
  },

  async "is found under the id that it knows"(clients) {
    const [ann, bob] = await clients.connectSeveral(2);
    const bobHeard = clients.earOf(bob);
    ann.emit("tell the room", clients.dialect.knownId(bob), clients.tagged("psst"));
    await ask(ann, "ask", "done");
    same(await bobHeard(), ["psst"]);
  },

  async "broadcasts to all others but not to itself"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map((socket) => clients.earOf(socket));
    ann.emit("tell the others", clients.tagged(UNUSUAL));
    await ask(ann, "ask", "done");
    same(await annHeard(), []);
    same(await bobHeard(), [UNUSUAL]);
    same(await eveHeard(), [UNUSUAL]);
  },

  async "is admitted to a namespace"(clients) {
    const socket = await clients.connect({ namespace: "/admin", parameters: { token: "secret" } });
    same(await echoOf(socket, UNUSUAL), [UNUSUAL]);
    same(await ask(socket, "ask", 1, "two"), [1, "two"]);
    answerQuestions(socket, "fine");
    same(await answered(socket, "question me"), ["fine"]);
    const heard = clients.earOf(socket);
    socket.emit("tell the room", clients.dialect.knownIdIn(socket, "/admin"), clients.tagged("psst"));
    same(await heard(), ["psst"]);
  },

  async "is refused in a namespace"(clients) {
    const socket = clients.open({ namespace: "/admin", parameters: { token: "wrong" } });
    same(await within(SECONDS, "the refusal", clients.dialect.refused(socket)), clients.dialect.refusal);
  },

  async "is not let into a namespace that does not exist"(clients) {
    const socket = clients.open({ namespace: "/nowhere" });
    if (clients.dialect.hearsOfNoNamespace) {
      same(await within(SECONDS, "the refusal", clients.dialect.refused(socket)), clients.dialect.refusalOfNoNamespace);
    } else {
      const admitted = await Promise.race([next(socket, "connect").then(() => true, () => false), pause(0.5)]);
      isTrue(!admitted, "it is connected");
    }
  },

  async "shares one connection between namespaces"(clients) {
    const parameters = { token: "secret" };
    const root = await clients.connect({ parameters: clients.dialect.connectionParameters(parameters) });
    const admin = await clients.join(root, "/admin", parameters);
    const [rootHeard, adminHeard] = [clients.earOf(root), clients.earOf(admin)];
    const friend = await clients.connect();
    friend.emit("tell the others", clients.tagged("not across namespaces"));
    await ask(friend, "ask", "done");
    same(await rootHeard(), ["not across namespaces"]);
    same(await adminHeard(), []);
    const [fromRoot, fromAdmin] = [next(root, "echo"), next(admin, "echo")];
    root.emit("echo", "root");
    admin.emit("echo", "admin");
    same([await fromRoot, await fromAdmin], [["root"], ["admin"]]);
    const left = next(admin, "disconnect");
    admin.emit("kick");
    await left;
    same(await echoOf(root, "still here"), ["still here"]);
  },

  async "sends and gets a string of 300 kB"(clients) {
    const socket = await clients.connect();
    await comesBack(socket, "0123456789".repeat(30_000));
  },

  async "sends and gets 300 kB of three-byte letters"(clients) {
    const socket = await clients.connect();
    await comesBack(socket, "€".repeat(100_000));
  },

  async "gets 200 events in order"(clients) {
    const socket = await clients.connect();
    const ticks = nextSeveral(socket, "tick", COUNT);
    socket.emit("burst", COUNT);
    same(await ticks, numbers(COUNT));
  },

  async "sends 200 events in order"(clients) {
    const socket = await clients.connect();
    numbers(COUNT).forEach((number) => socket.emit("note", number));
    same(await ask(socket, "read the notes"), [numbers(COUNT)]);
  },

  async "is disconnected by the server"(clients) {
    const socket = await clients.connect();
    const [{ id }] = await ask(socket, "who am i");
    const disconnected = next(socket, "disconnect");
    socket.emit("kick");
    const [reason] = await disconnected;
    matches(reason, clients.dialect.serverDisconnect);
    matches(await clients.stage.closeReason(id), /^(server namespace disconnect|booted)$/);
  },

  async "disconnects itself, and the server knows"(clients) {
    const socket = await clients.connect();
    const [{ id }] = await ask(socket, "who am i");
    await eventually(SECONDS, "the end of its post", () => clients.dialect.isSettled(socket) || pause(0.02));
    const disconnected = next(socket, "disconnect");
    socket.disconnect();
    const [reason] = await disconnected;
    matches(reason, clients.dialect.clientDisconnect);
    matches(await clients.stage.closeReason(id), clients.dialect.closeReason);
  },
};

const BYTES = {
  async "sends and gets bytes, nested ones too"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const args = [bytes(numbers(256)), { list: [1, bytes([195, 169]), { deep: bytes(numbers(256)) }] }, "last", UNUSUAL];
    same(await echoOf(socket, ...args), args);
  },

  async "gets bytes that the server made"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const picture = next(socket, "picture");
    socket.emit("send the picture");
    const layers = [bytes([]), { deep: bytes(numbers(256).reverse()) }];
    same(await picture, [bytes(numbers(256)), { name: "é", layers }]);
  },

  async "gets and gives bytes in acks"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const parcel = { inside: [bytes(numbers(256))] };
    same(await ask(socket, "ask", parcel, bytes([1, 2])), [parcel, bytes([1, 2])]);
    const asked = answerQuestions(socket, parcel);
    same(await answered(socket, "question me", parcel), [parcel]);
    same(asked, [[parcel]]);
  },

  async "keeps the order of events with and without bytes"(clients) {
    const socket = await clients.connect();
    const values = numbers(30).map((number) => (number % 3 ? number : clients.stage.bytes([number])));
    const echoed = nextSeveral(socket, "echo", values.length);
    values.forEach((value) => socket.emit("echo", value));
    same(await echoed, values);
  },

  async "sends and gets 300 kB of bytes"(clients) {
    const socket = await clients.connect();
    const blob = clients.stage.bytes(numbers(300_000).map((number) => (number * 7919) % 251));
    const [echoed] = await patientEchoOf(socket, PATIENCE, blob);
    isTrue(plain(echoed) === plain(blob), "other bytes came back");
  },
};

const UPGRADE = {
  async "begins with polling and then really upgrades"(clients) {
    const socket = clients.open();
    const upgraded = next(socket.io.engine, "upgrade", 4.5);    // below the ping interval: no ping may come to the rescue
    same(socket.io.engine.transport.name, "polling");
    await next(socket, "connect");
    await upgraded;
    same(await echoOf(socket, "over the new transport", UNUSUAL), ["over the new transport", UNUSUAL]);
    const [who] = await ask(socket, "who am i");
    same(who.protocol, "websocket");
  },

  async "loses, doubles and reorders nothing while it upgrades"(clients) {
    const socket = clients.open({ address: clients.stage.slowLine });
    const upgraded = next(socket.io.engine, "upgrade", SECONDS);
    const [sent, echoed] = [[], []];
    socket.on("echo", (text) => echoed.push(text));
    const sending = setInterval(() => socket.emit("echo", sent[sent.push(`${UNUSUAL} ${sent.length}`) - 1]), 2);
    await upgraded.finally(() => clearInterval(sending));
    await ask(socket, "ask", "done");
    same(echoed, sent);
  },
};

// These mostly wait. They run beside the others.
const PATIENT = {
  // A polling client, like a browser, repeats a poll that was cut and may never tell that anything happened.
  async "is reached again after its connections were cut"(clients) {
    const socket = await clients.connect({ address: clients.stage.lines[clients.way.name], reconnects: true });
    if (clients.way.upgrades) {    // cut in the middle of it, some clients wait for their heartbeat to find out
      await eventually(SECONDS, "the upgrade", () => socket.io.engine.transport.name === "websocket" || pause(0.02));
    }
    await pause(0.2);    // now the next poll waits
    await clients.stage.cut(clients.way.name);
    await eventually(3 * SECONDS, "an answer", () => answersWithin(1, socket));
    const [friend, heard] = [await clients.connect(), clients.earOf(socket)];
    await eventually(3 * SECONDS, "the welcome", async () => {    // it may have been its last answer before it reconnects
      friend.emit("tell the room", clients.dialect.knownId(socket), clients.tagged("welcome"));
      await ask(friend, "ask", "done");
      return heard().then((texts) => texts.includes("welcome"), () => false);
    });
  },

  // Listens longer than a server waits that hears no heartbeat.
  async "lives through its heartbeats"(clients) {
    const socket = await clients.connect();
    const left = [];
    socket.on("disconnect", (reason) => left.push(reason));
    await pause(LONG_ENOUGH);
    same(left, []);
    same(await echoOf(socket, "alive"), ["alive"]);
  },
};

function checksOf(client, way) {
  return { ...CHECKS, ...(client.dialect.hasBytes ? BYTES : {}), ...(way.upgrades ? UPGRADE : {}) };
}

// -- Acting -----------------------------------------------------------------------------

// All checks of a client; its transports side by side, the checks over each one after the other.
export async function act(client, stage, words, fetchTransport) {
  await Promise.all(transportsOf(client).map((transport) => actOver(client, wayOf(client, transport, fetchTransport), stage, words)));
}

export async function actOver(client, way, stage, words) {
  const wanted = (check) => check.includes(words) && !whySkipped(client, way.name, check);
  const run = (check, body) => (wanted(check) ? runCheck(client, way, stage, check, body) : undefined);
  const { [FIRST]: first, ...others } = checksOf(client, way);
  if (await run(FIRST, first) === false) {
    return;    // who cannot connect would wait for everything
  }
  const patient = Object.entries(PATIENT).map(([check, body]) => run(check, body));
  for (const [check, body] of Object.entries(others)) {
    await run(check, body);
  }
  await Promise.all(patient);
}

async function runCheck(client, way, stage, check, body) {
  const clients = new Clients(client, way, stage);
  const started = Date.now();
  let error = null;
  try {
    await within(120, "the end of the check", body(clients));
  } catch (reason) {
    error = String(reason?.message ?? reason).replace(/\s+/g, " ").slice(0, 500) || "failed";
  }
  try {
    clients.closeAll();
  } catch {
    // a client that never connected may not know how to close
  }
  await stage.report({ transport: way.name, check, error, seconds: (Date.now() - started) / 1000 });
  return error === null;
}

// Private.

function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${seconds} s for ${typeof what === "function" ? what() : what}`)), seconds * 1000);
  });
  const result = Promise.race([promise, late]).finally(() => clearTimeout(timer));
  result.catch(() => {});    // a check that fails early never looks at the promises it made before
  return result;
}

async function eventually(seconds, what, attempt) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    if (await attempt()) {
      return;
    }
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}

function answersWithin(seconds, socket) {
  const answer = new Promise((resolve) => { socket.emit("ask", "back", () => resolve(true)); });
  return Promise.race([answer, pause(seconds)]);
}

function pause(seconds) {
  return new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
}

function same(actual, expected) {
  const [got, wanted] = [plain(actual), plain(expected)];
  isTrue(got === wanted, `${inShort(got)} is not ${inShort(wanted)}`);
}

function matches(text, pattern) {
  isTrue(pattern.test(text), `${text} is not like ${pattern}`);
}

function isTrue(condition, otherwise) {
  if (!condition) {
    throw new Error(otherwise);
  }
}

function inShort(text) {
  return text.length > 200 ? `${text.slice(0, 200)}... (${text.length} characters)` : text;
}

// JSON in which bytes of every type look alike.
function plain(value) {
  return JSON.stringify(withoutBytes(value));
}

function withoutBytes(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const view = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return { bytes: Array.from(view, (byte) => byte.toString(16).padStart(2, "0")).join("") };
  }
  if (Array.isArray(value)) {
    return value.map(withoutBytes);
  }
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutBytes(item)]));
  }
  return value;
}
