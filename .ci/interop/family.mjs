// Puts one real client of each of the four generations into one room, and each before a door that is closed to it.
//
//     node family.mjs http://127.0.0.1:PORT [words that the names of the checks must contain]
//
// The 0.6 client runs in Chromium, the others in Node.

import assert from "node:assert/strict";
import events from "node:events";
import { createRequire } from "node:module";
import { Ancestor, launch, servePage } from "./ancestor-client.mjs";
import { check, eventually, finish, next, pause, within } from "./checks.mjs";
import { Line } from "./matrix-lines.mjs";

const [server, words = ""] = process.argv.slice(2);

const UNUSUAL = "é€😀";
const SECONDS = 15;
const CALM = 3;    // seconds, in which a client that was refused must not try again and again
const FEW = 5;    // requests: each client tries once, and may reconnect with growing delays

process.EventEmitter = events.EventEmitter;    // Node of 2011 had it there, and 0.9 looks for it there
const require = createRequire(import.meta.url);
const [io09, io2, io4] = ["client-0.9.17", "client-2.5.0", "client-4.8.4"].map((name) => require(name));
const browser = await launch();
const page = await servePage();

// -- Members of the family ----------------------------------------------------------------
// Members have the same methods: they enter and leave a room, say something to it, and tell what they were told.

class Modern {
  constructor(name, socket) {
    this.name = name;
    this.socket = socket;
    this.told = [];
    socket.on("told", (text) => this.told.push(text));
  }

  static async connect(name, open) {
    const member = new Modern(name, open());
    await next(member.socket, "connect");
    return member;
  }

  say(wish, ...args) {
    this.socket.emit(wish, ...args);
  }

  ask(wish, ...args) {
    return within(SECONDS, `the ack of "${wish}"`, new Promise((resolve) => { this.socket.emit(wish, ...args, resolve); }));
  }

  enter(room) {
    return this.ask("enter", room);
  }

  leave(room) {
    return this.ask("exit", room);
  }

  answerQuestions() {
    this.socket.on("question", (...args) => args.pop()(this.name));
  }

  async isTold(count, tag) {
    const texts = () => this.told.filter((text) => text.endsWith(tag));
    await eventually(SECONDS, `${this.name} to be told ${count} texts, not ${texts().length}`, () => texts().length >= count);
    return texts().map((text) => text.slice(0, -tag.length));
  }

  id() {
    return this.ask("who am i").then(({ id }) => id);
  }

  close() {
    const { socket } = this.socket;    // the connection of a 0.9 client
    (socket ?? this.socket).disconnect();
  }
}

class Oldest {
  constructor(ancestor) {
    this.name = "0.6";
    this.ancestor = ancestor;
  }

  static async connect(transport, options) {
    const ancestor = await Ancestor.open(browser, page, transport);
    await ancestor.connect(server, options);
    return new Oldest(ancestor);
  }

  say(wish, ...args) {
    return this.ancestor.wish(wish, ...args);
  }

  async enter(room) {
    await this.ancestor.wish("enter", room);
    await this.ancestor.until("it is in the room", (answer) => heard.includes(answer), `entered ${room}`);
  }

  async leave(room) {
    await this.ancestor.wish("exit", room);
    await this.ancestor.until("it is out of the room", (answer) => heard.includes(answer), `left ${room}`);
  }

  answerQuestions() {}

  isTold(count, tag) {
    return this.ancestor.isTold(count, tag);
  }

  async id() {
    await this.ancestor.forget();
    return (await this.ancestor.whoAmI()).id;
  }

  close() {
    return this.ancestor.close();
  }
}

const once = { reconnection: false, forceNew: true };

function open09(address, transports, options = {}) {
  const socket = io09.connect(address, { "force new connection": true, "reconnect": false, ...options });
  socket.socket.options.transports = transports;    // as an option above, 0.9 would use them for all clients
  [socket, socket.socket].forEach((emitter) => emitter.on("error", () => {}));
  return socket;
}

const FAMILIES = {
  "over WebSocket": () => Promise.all([
    Oldest.connect("websocket"),
    Modern.connect("0.9", () => open09(server, ["websocket"])),
    Modern.connect("2.5", () => io2(server, { ...once, transports: ["websocket"] })),
    Modern.connect("4.8", () => io4(server, { ...once, transports: ["websocket"] })),
  ]),
  "by polling": () => Promise.all([
    Oldest.connect("xhr-polling"),
    Modern.connect("0.9", () => open09(server, ["xhr-polling"])),
    Modern.connect("2.5", () => io2(server, { ...once, transports: ["polling"] })),
    Modern.connect("4.8", () => io4(server, { ...once, transports: ["polling"] })),
  ]),
  "each in its own way": () => Promise.all([
    Oldest.connect("jsonp-polling"),
    Modern.connect("0.9", () => open09(server, ["xhr-polling"])),
    Modern.connect("2.5", () => io2(server, once)),
    Modern.connect("4.8", () => io4(server, { ...once, transports: ["websocket"] })),
  ]),
};

// -- Together -----------------------------------------------------------------------------

const everybodyBut = (family, one) => family.filter((member) => member !== one);

async function meets(family) {
  const tag = ` ${Math.random().toString(36).slice(2)}`;
  const room = UNUSUAL + tag;
  await Promise.all(family.map((member) => member.enter(room)));
  const expected = new Map(family.map((member) => [member, []]));
  for (const speaker of family) {    // one after the other, so that all hear the same order
    const speak = async (wish, text, hearers, ...args) => {
      await speaker.say(wish, ...args, text + tag);
      for (const hearer of hearers) {
        expected.get(hearer).push(text);
        assert.deepEqual(await hearer.isTold(expected.get(hearer).length, tag), expected.get(hearer), `${hearer.name} heard`);
      }
    };
    await speak("tell the room", `${speaker.name} to the room ${UNUSUAL}`, family, room);
    await speak("tell my room mates", `${speaker.name} to its mates`, everybodyBut(family, speaker), room);
    await speak("tell the others", `${speaker.name} to all others`, everybodyBut(family, speaker));
  }
  for (const leaver of family) {
    await leaver.leave(room);
    const [speaker] = everybodyBut(family, leaver);
    await speaker.say("tell the room", room, `without ${leaver.name}${tag}`);
    for (const hearer of everybodyBut(family, leaver)) {
      expected.get(hearer).push(`without ${leaver.name}`);
      assert.deepEqual(await hearer.isTold(expected.get(hearer).length, tag), expected.get(hearer), `${hearer.name} heard`);
    }
    await leaver.enter(room);
    assert.deepEqual(await leaver.isTold(0, tag), expected.get(leaver), `${leaver.name} heard outside`);
  }
}

// Asks all members at once. The 0.6 client has no acks, and is among the missing.
async function answersTogether(family) {
  const room = `questions ${Math.random()}`;
  await Promise.all(family.map((member) => member.enter(room)));
  family.forEach((member) => member.answerQuestions());
  const ids = await Promise.all(family.map((member) => member.id()));
  const [oldest, ...others] = family;
  const [answers, missing] = await others.at(-1).ask("question the room", room, UNUSUAL);
  assert.deepEqual(answers, Object.fromEntries(others.map((member, index) => [ids[index + 1], member.name])));
  assert.deepEqual(missing, [ids[0]], `${oldest.name} has no acks`);
}

// -- Before closed doors ------------------------------------------------------------------

// A proxy that counts requests, to find a client that tries again and again.
async function countingLine(address = server) {
  const line = new Line(new URL(address));
  return [await line.start(), line];
}

async function staysCalm(line) {
  await pause(CALM);
  assert.ok(line.requests >= 1 && line.requests <= FEW, `${line.requests} requests`);
}

async function oldestIsRefused(transport) {
  const [address, line] = await countingLine();
  const ancestor = await Ancestor.open(browser, page, transport);
  await ancestor.begin(address, { resource: "modern", reconnect: true, connectTimeout: 1000 });
  await ancestor.until("it gives up", () => failures === 1);
  await staysCalm(line);
  assert.deepEqual(await ancestor.page.evaluate(() => [connects, failures]), [0, 1]);
  await ancestor.close();
}

async function oldIsRefused() {
  const [address, line] = await countingLine();
  const socket = open09(address, ["websocket", "xhr-polling"], { resource: "modern", reconnect: true });
  assert.deepEqual(await next(socket.socket, "error"), ["Protocol version not supported."]);
  await staysCalm(line);
  assert.equal(line.requests, 1);
}

const REFUSAL = { code: 5, message: "Unsupported protocol version" };
const NOTHING = () => undefined;    // most Engine.IO clients do not show the code

async function engineIsRefused(io, path, transports, codeOf = NOTHING) {
  const [address, line] = await countingLine();
  const socket = io(address, { forceNew: true, path, transports });    // with reconnection, which is the default
  let answer;
  socket.once("connect_error", (error) => { answer = codeOf(error); });    // the answer is in the error for a moment only
  await next(socket, "connect_error");
  assert.deepEqual(answer, codeOf === NOTHING ? undefined : REFUSAL);
  await staysCalm(line);
  assert.ok(!socket.connected);
  socket.disconnect();
}

async function codeFor(path, query) {
  const response = await fetch(`${server}${path}/?${query}`);
  return [response.status, await response.json()];
}

// -- Where there is only polling ----------------------------------------------------------

const { "polling only": port } = await (await fetch(`${server}/ports`)).json();
const pollingOnly = `http://127.0.0.1:${port}`;

async function engineStaysWithPolling(io) {
  const socket = io(pollingOnly, once);
  await next(socket, "connect");
  assert.equal(socket.io.engine.transport.name, "polling");
  await pause(CALM);    // time in which it would have upgraded
  const { protocol } = await new Promise((resolve) => { socket.emit("who am i", resolve); });
  assert.equal(protocol, "xhr-polling");
  socket.disconnect();
  const stubborn = io(pollingOnly, { ...once, transports: ["websocket"] });
  await next(stubborn, "connect_error");
}

async function oldStaysWithPolling() {
  const socket = open09(pollingOnly, ["websocket", "xhr-polling"]);
  await next(socket, "connect");
  assert.equal(socket.socket.transport.name, "xhr-polling");
  socket.socket.disconnect();
  await next(open09(pollingOnly, ["websocket"]), "connect_failed");
}

async function oldestStaysWithPolling() {
  const ancestor = await Ancestor.open(browser, page, "xhr-polling");
  await ancestor.connect(pollingOnly, { transports: ["websocket", "xhr-polling"], connectTimeout: 1000 });
  assert.equal((await ancestor.whoAmI()).protocol, "xhr-polling");
  await ancestor.close();
}

// -- The checks ---------------------------------------------------------------------------

const CHECKS = {
  "0.6 over websocket gives up where it is not served": () => oldestIsRefused("websocket"),
  "0.6 by xhr-polling gives up where it is not served": () => oldestIsRefused("xhr-polling"),
  "0.6 by jsonp-polling gives up where it is not served": () => oldestIsRefused("jsonp-polling"),
  "0.9 hears that its version is not supported": oldIsRefused,
  "2.5 by polling is refused where it is not served": () => engineIsRefused(io2, "/modern", ["polling"]),
  "2.5 over websocket is refused where it is not served": () => engineIsRefused(io2, "/modern", ["websocket"]),
  "4.8 by polling hears that its version is not supported": () => (
    engineIsRefused(io4, "/ancient", ["polling"], ({ context }) => JSON.parse(context.responseText))),
  "4.8 over websocket is refused where it is not served": () => engineIsRefused(io4, "/ancient", ["websocket"]),
  "Engine.IO says so in words": async () => {
    const refusal = [400, REFUSAL];
    assert.deepEqual(await codeFor("/modern", "EIO=3&transport=polling"), refusal);
    assert.deepEqual(await codeFor("/ancient", "EIO=3&transport=polling"), refusal);
    assert.deepEqual(await codeFor("/ancient", "EIO=4&transport=polling"), refusal);
  },
  "0.6 comes by polling where WebSocket is off": oldestStaysWithPolling,
  "0.9 comes by polling where WebSocket is off": oldStaysWithPolling,
  "2.5 stays with polling where WebSocket is off": () => engineStaysWithPolling(io2),
  "4.8 stays with polling where WebSocket is off": () => engineStaysWithPolling(io4),
};
for (const [way, connect] of Object.entries(FAMILIES)) {
  for (const [what, act] of Object.entries({ "hear each other in one room": meets, "are asked together": answersTogether })) {
    CHECKS[`four generations ${what}, ${way}`] = async () => {
      const family = await connect();
      try {
        await act(family);
      } finally {
        await Promise.all(family.map((member) => member.close()));
      }
    };
  }
}

const wanted = Object.entries(CHECKS).filter(([name]) => name.includes(words));
await Promise.all(wanted.map(([name, body]) => check(name, body, 45)));
await browser.close();
finish();
