// The client of 2010 in the matrix. Its checks are its own, because it has messages, but no events, acks or namespaces.
//
//     node ancestor.mjs http://127.0.0.1:PORT CLIENT [words]      prints one JSON object per check

import assert from "node:assert/strict";
import { io } from "socket.io-client";
import { Ancestor, launch, servePage } from "./ancestor-client.mjs";
import { closeReason, eventually, inShort, next, pause, within } from "./checks.mjs";
import { clientOf, transportsOf, wayOf, whySkipped } from "./matrix-clients.mjs";
import { surroundings } from "./matrix-lines.mjs";

const [server, title, words = ""] = process.argv.slice(2);

const UNUSUAL = "é€😀\u2028\u2029";
const COUNT = 200;
const CUT = "is reached again after its connections were cut";

class Clients {
  constructor(stage, way) {
    this.stage = stage;
    this.way = way;
    this.transport = way.protocols[0];
    this.tag = Math.random().toString(36).slice(2);    // other checks use the same server
    this.ancestors = [];
    this.successors = [];
  }

  async connect(options) {
    const ancestor = await this.open();
    await ancestor.connect(server, options);
    return ancestor;
  }

  // A client that has yet to connect.
  async open() {
    const ancestor = await Ancestor.open(this.stage.browser, this.stage.page, this.transport);
    this.ancestors.push(ancestor);
    return ancestor;
  }

  // A client of today.
  async connectSuccessor() {
    const socket = io(server, { transports: ["websocket"], forceNew: true, reconnection: false });
    this.successors.push(socket);
    await next(socket, "connect");
    return socket;
  }

  async closeAll() {
    this.successors.forEach((socket) => socket.io._close());
    await Promise.all(this.ancestors.map((ancestor) => ancestor.close()));
  }
}

async function comesBack(clients, ...messages) {
  const ancestor = await clients.connect();
  await ancestor.send(...messages);
  assert.deepEqual(await ancestor.hears(messages.length), messages);
}

async function largeTextComesBack(clients, text) {
  const ancestor = await clients.connect();
  await ancestor.send(text);
  const [echoed] = await ancestor.hears(1);
  assert.ok(echoed === text, `${echoed.length} characters came back, or others`);
}

const numbers = (count) => Array.from({ length: count }, (_, number) => number);

// -- The checks -------------------------------------------------------------------------

const CHECKS = {
  async "connects, and the server knows how"(clients) {
    const ancestor = await clients.connect();
    const who = await ancestor.whoAmI();
    assert.equal(who.dialect, "0.6");
    assert.equal(who.protocol, clients.transport);
    const sid = await ancestor.sid();
    assert.match(sid, /^[\w-]+$/);
    assert.notEqual(who.id, sid, "the secret id of the connection is public");
  },

  async "gets a text back"(clients) {
    await comesBack(clients, "hello");
  },

  async "gets JSON back"(clients) {
    await comesBack(clients, { a: 1, list: [1, "two", null, true, 2.5], deep: { er: {} } }, {});
  },

  async "gets emoji and friends back, in texts and objects"(clients) {
    await comesBack(clients, UNUSUAL, { [UNUSUAL]: UNUSUAL }, "\u0001 <b>&amp;</b> +%20 \"'\\ </script>");
  },

  async "gets newlines back"(clients) {
    await comesBack(clients, "first\nsecond\n\nfourth\n", { text: "first\nsecond" });
  },

  async "gets an empty text back, and texts that look like frames"(clients) {
    await comesBack(clients, "", "~m~3~m~abc", "12~m~", "last");
  },

  async "sends and gets 200 messages in order"(clients) {
    await comesBack(clients, ...numbers(COUNT).map((number) => (number % 2 ? `number ${number}` : { number })));
  },

  async "gets 200 events in order"(clients) {
    const ancestor = await clients.connect();
    await ancestor.wish("burst", COUNT);
    assert.deepEqual(await ancestor.hears(COUNT), numbers(COUNT).map((number) => ({ name: "tick", args: [number] })));
  },

  async "sends and gets 300 kB"(clients) {
    await largeTextComesBack(clients, "0123456789".repeat(30_000));
  },

  async "sends and gets 300 kB of three-byte letters"(clients) {
    await largeTextComesBack(clients, "€".repeat(100_000));
  },

  async "gets what it sent before it was connected"(clients) {
    const ancestor = await clients.open();
    await ancestor.begin(server);
    await ancestor.send("early", "bird");
    assert.deepEqual(await ancestor.hears(2), ["early", "bird"]);
  },

  async "hears an event as a JSON message"(clients) {
    const ancestor = await clients.connect();
    await ancestor.wish("announce", "news €😀", 1, [UNUSUAL]);
    assert.deepEqual(await ancestor.hears(1), [{ name: "news €😀", args: [1, [UNUSUAL]] }]);
  },

  async "hears what is told to its rooms, and only that"(clients) {
    const [ann, bob, eve] = await Promise.all([clients.connect(), clients.connect(), clients.connect()]);
    const [tea, coffee] = [`${UNUSUAL} ${clients.tag}`, `coffee ${clients.tag}`];
    for (const [client, room] of [[ann, tea], [bob, tea], [eve, coffee]]) {
      await client.wish("enter", room);
      assert.deepEqual(await client.hears(1), [`entered ${room}`]);
    }
    await ann.wish("tell the room", tea, `to all${clients.tag}`);
    await ann.wish("tell my room mates", tea, `to the others${clients.tag}`);
    await ann.wish("tell the room", coffee, `to eve${clients.tag}`);
    assert.deepEqual(await bob.isTold(2, clients.tag), ["to all", "to the others"]);
    assert.deepEqual(await eve.isTold(1, clients.tag), ["to eve"]);
    assert.deepEqual(await ann.isTold(1, clients.tag), ["to all"]);
  },

  async "broadcasts to all others but not to itself"(clients) {
    const [ann, bob] = await Promise.all([clients.connect(), clients.connect()]);
    await ann.wish("tell the others", `hello bob${clients.tag}`);
    assert.deepEqual(await bob.isTold(1, clients.tag), ["hello bob"]);
    await bob.wish("tell the others", `hello ann${clients.tag}`);
    assert.deepEqual(await ann.isTold(1, clients.tag), ["hello ann"]);    // but not what she said herself
  },

  async "shares a room with a client of today"(clients) {
    const [ancestor, successor] = [await clients.connect(), await clients.connectSuccessor()];
    const room = `family ${clients.tag}`;
    await ancestor.wish("enter", room);
    await ancestor.hears(1);
    successor.emit("tell the room", room, UNUSUAL + clients.tag);
    assert.deepEqual(await ancestor.isTold(1, clients.tag), [UNUSUAL]);
  },

  async "is found under the session id, the only one it knows"(clients) {
    const [ancestor, successor] = [await clients.connect(), await clients.connectSuccessor()];
    successor.emit("tell the room", await ancestor.sid(), `psst${clients.tag}`);
    assert.deepEqual(await ancestor.isTold(1, clients.tag), ["psst"]);
  },

  async "is disconnected by the server"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.wish("kick");
    await ancestor.until("it is disconnected", () => disconnects === 1 && !client.connected);
    assert.equal(await closeReason(server, id), "server namespace disconnect");
  },

  async "disconnects itself, and the server notices"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.page.evaluate(() => client.disconnect());
    await ancestor.until("it is disconnected", () => disconnects === 1);
    assert.ok(await closeReason(server, id, 20));    // a polling client is missed 8 s after its last poll
  },

  async [CUT](clients) {
    const ancestor = await clients.open();
    const { address, number } = await clients.stage.openLine();
    await ancestor.connect(address, { reconnect: true, reconnectionDelay: 50 });
    await pause(0.2);    // the next poll waits at the server after that
    await clients.stage.cutLine(number);
    await eventually(20, "an answer", async () => {
      await ancestor.send("back");
      return ancestor.until("it hears itself", () => heard.includes("back"), null, 1).then(() => true, () => false);
    });
    const successor = await clients.connectSuccessor();
    successor.emit("tell the room", await ancestor.sid(), `welcome${clients.tag}`);
    assert.deepEqual(await ancestor.isTold(1, clients.tag), ["welcome"]);
  },
};

// These checks mostly wait, and run beside the others.
const PATIENT = {
  async "is missed when its page is closed"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.page.close();
    assert.ok(await closeReason(server, id, 20));    // a polling client is missed 8 s after its last poll
  },
};

const HEARTBEATS = {
  async "answers heartbeats and stays"(clients) {
    const ancestor = await clients.open();
    const heartbeats = { received: 0, sent: 0 };
    ancestor.page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => { heartbeats.received += /~h~/.test(payload); });
      socket.on("framesent", ({ payload }) => { heartbeats.sent += /~h~/.test(payload); });
    });
    await ancestor.connect(server);
    await eventually(25, "two heartbeats", () => heartbeats.received >= 2 && heartbeats.sent >= 2);
    await ancestor.send("alive");
    assert.deepEqual(await ancestor.hears(1), ["alive"]);
  },
};

const IDLE_POLLS = {
  async "polls again when a poll ends with nothing"(clients) {
    const ancestor = await clients.open();
    let polls = 0;
    ancestor.page.on("request", (request) => { polls += request.method() === "GET" && /-polling\//.test(request.url()); });
    await ancestor.connect(server);
    // The first poll is the handshake, the second ends with nothing, the third follows it.
    await eventually(20, "a third poll", () => polls >= 3);
    await ancestor.send("alive");
    assert.deepEqual(await ancestor.hears(1), ["alive"]);
    assert.equal(await ancestor.page.evaluate(() => connects), 1);
  },
};

// -- Acting -----------------------------------------------------------------------------

const client = clientOf(title);

async function actOver(stage, way) {
  const run = async (checks) => {
    for (const [check, body] of Object.entries(checks)) {
      if (check.includes(words) && !whySkipped(client, way.name, check)) {
        await runCheck(stage, way, check, body);
      }
    }
  };
  await Promise.all([run(CHECKS), run(PATIENT), run(way.name === "websocket" ? HEARTBEATS : IDLE_POLLS)]);
}

async function runCheck(stage, way, check, body) {
  const clients = new Clients(stage, way);
  let error = null;
  try {
    await within(45, "the end of the check", body(clients));
  } catch (reason) {
    error = inShort(reason);
  }
  await clients.closeAll();
  stage.report({ transport: way.name, check, error });
}

const stage = { ...surroundings(server), browser: await launch(), page: await servePage() };
try {
  await Promise.all(transportsOf(client).map((transport) => actOver(stage, wayOf(client, transport))));
} finally {
  await stage.browser.close();
}
process.exit();
