// The Socket.IO 0.6 browser client, of 2010, in a headless Chromium against app.py.
//
//     node ancestor.mjs http://127.0.0.1:PORT [words that the names of the checks must contain]
//
// CHROMIUM in the environment names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { io } from "socket.io-client";
import { check, closeReason, eventually, finish, within } from "./checks.mjs";

const [server, words = ""] = process.argv.slice(2);

const TRANSPORTS = ["websocket", "xhr-polling", "jsonp-polling"];
const UNUSUAL = "é€😀\u2028\u2029";
const BROWSER = {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
};

// -- The clients of one check -----------------------------------------------------------

// One page with one client: two jsonp-polling clients on one page break each other.
class Ancestor {
  constructor(page, transport) {
    this.page = page;
    this.transport = transport;
  }

  async connect() {
    await this.page.goto(`${server}/ancestor/ancestor.html`);
    await this.page.evaluate((transport) => connectOver(transport), this.transport);
    await this.until("it is connected", () => connects === 1);
  }

  send(...messages) {
    return this.page.evaluate((all) => sendAll(all), messages);
  }

  wish(name, ...args) {
    return this.send({ wish: name, args });
  }

  // Everything this client heard, once that are `count` messages.
  async hears(count) {
    await this.until(`it has heard ${count} messages`, (number) => heard.length >= number, count);
    return this.page.evaluate(() => heard);
  }

  async whoAmI() {
    await this.wish("who am i");
    const [answer] = await this.hears(1);
    await this.page.evaluate(() => { heard = []; });
    return answer;
  }

  sid() {
    return this.page.evaluate(() => client.transport.sessionid);
  }

  async until(what, condition, argument) {
    try {
      await this.page.waitForFunction(condition, argument, { timeout: 5000, polling: 20 });
    } catch {
      throw new Error(`waited 5 s until ${what}; the page heard ${await this.page.evaluate(() => JSON.stringify(heard))}`);
    }
  }
}

class Clients {
  constructor(browser, transport) {
    this.browser = browser;
    this.transport = transport;
    this.contexts = [];
    this.successors = [];
  }

  async connect() {
    const ancestor = await this.open();
    await ancestor.connect();
    return ancestor;
  }

  // A client that has yet to connect. A context of its own: pages of one context share connections.
  async open() {
    const context = await this.browser.newContext();
    this.contexts.push(context);
    return new Ancestor(await context.newPage(), this.transport);
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
    await Promise.all(this.contexts.map((context) => context.close()));
  }
}

// The arguments of the next `name`. Listening starts at once, so call it before what brings the event about.
function next(socket, name) {
  const promise = within(5, `"${name}"`, new Promise((resolve) => socket.once(name, (...args) => resolve(args))));
  promise.catch(() => {});    // a check that fails early never looks
  return promise;
}

async function comesBack(clients, ...messages) {
  const ancestor = await clients.connect();
  await ancestor.send(...messages);
  assert.deepEqual(await ancestor.hears(messages.length), messages);
}

// -- The checks -------------------------------------------------------------------------

const checks = {
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

  async "gets objects back"(clients) {
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

  async "gets fifty messages back in order"(clients) {
    await comesBack(clients, ...Array.from({ length: 50 }, (_, n) => (n % 2 ? `number ${n}` : { number: n })));
  },

  async "gets 100 kB back"(clients) {
    const ancestor = await clients.connect();
    const text = "0123456789abcde€".repeat(6250);
    await ancestor.send(text);
    const [echoed] = await ancestor.hears(1);
    assert.ok(echoed === text, `${echoed.length} characters came back, or others`);
  },

  async "gets what it sent before it was connected"(clients) {
    const ancestor = await clients.open();
    await ancestor.page.goto(`${server}/ancestor/ancestor.html`);
    await ancestor.page.evaluate((transport) => { connectOver(transport); sendAll(["early", "bird"]); }, clients.transport);
    assert.deepEqual(await ancestor.hears(2), ["early", "bird"]);
  },

  async "hears an event as a JSON message"(clients) {
    const ancestor = await clients.connect();
    await ancestor.wish("announce", "news", 1, [UNUSUAL]);
    assert.deepEqual(await ancestor.hears(1), [{ name: "news", args: [1, [UNUSUAL]] }]);
  },

  async "talks with another of its kind"(clients) {
    const [ann, bob] = [await clients.connect(), await clients.connect()];
    await ann.wish("shout", "hello bob");
    assert.deepEqual(await bob.hears(1), ["hello bob"]);
    await bob.wish("shout", { hello: "ann" });
    assert.deepEqual(await ann.hears(1), [{ hello: "ann" }]);    // and not its own shout
  },

  async "shares a room with a client of today"(clients) {
    const [ancestor, successor] = [await clients.connect(), await clients.connectSuccessor()];
    await ancestor.wish("enter", "family");
    await ancestor.hears(1);
    successor.emit("tell the room", "family", UNUSUAL);
    assert.deepEqual(await ancestor.hears(2), ["entered family", { name: "told", args: [UNUSUAL] }]);
    const shouted = next(successor, "message");
    await ancestor.wish("shout", "when I was young");
    assert.deepEqual(await shouted, ["when I was young"]);
  },

  async "is found under the session id, the only one it knows"(clients) {
    const [ancestor, successor] = [await clients.connect(), await clients.connectSuccessor()];
    successor.emit("tell the room", await ancestor.sid(), "psst");
    assert.deepEqual(await ancestor.hears(1), [{ name: "told", args: ["psst"] }]);
  },

  async "notices that the server disconnects it"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.wish("kick");
    await ancestor.until("it is disconnected", () => disconnects === 1 && !client.connected);
    assert.equal(await closeReason(server, id), "server namespace disconnect");
  },

  async "is missed when its page is closed"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.page.close();
    assert.ok(await closeReason(server, id, 15));    // polling: 8 s after the last poll
  },
};

const WEBSOCKET_AND_XHR = {    // a jsonp-polling client that disconnects lets its last poll wait, and begins anew after it
  async "disconnects itself, and the server notices"(clients) {
    const ancestor = await clients.connect();
    const { id } = await ancestor.whoAmI();
    await ancestor.page.evaluate(() => client.disconnect());
    await ancestor.until("it is disconnected", () => disconnects === 1);
    assert.ok(await closeReason(server, id, 15));
  },
};

const WEBSOCKET = {
  async "answers heartbeats and stays"(clients) {
    const ancestor = await clients.open();
    const heartbeats = { received: 0, sent: 0 };
    ancestor.page.on("websocket", (socket) => {
      socket.on("framereceived", ({ payload }) => { heartbeats.received += /~h~/.test(payload); });
      socket.on("framesent", ({ payload }) => { heartbeats.sent += /~h~/.test(payload); });
    });
    await ancestor.connect();
    await eventually(25, "two heartbeats", () => heartbeats.received === 2 && heartbeats.sent === 2);
    await ancestor.send("alive");
    assert.deepEqual(await ancestor.hears(1), ["alive"]);
  },
};

const POLLING = {
  async "polls again when a poll ends with nothing"(clients) {
    const ancestor = await clients.open();
    let polls = 0;
    ancestor.page.on("request", (request) => { polls += request.method() === "GET" && /-polling\//.test(request.url()); });
    await ancestor.connect();
    await eventually(10, "a second poll that is repeated", () => polls >= 3);    // the handshake, the idle one, the next
    await ancestor.send("alive");
    assert.deepEqual(await ancestor.hears(1), ["alive"]);
    assert.equal(await ancestor.page.evaluate(() => connects), 1);
  },
};

function checksOf(transport) {
  switch (transport) {
    case "websocket": return { ...checks, ...WEBSOCKET_AND_XHR, ...WEBSOCKET };
    case "xhr-polling": return { ...checks, ...WEBSOCKET_AND_XHR, ...POLLING };
    default: return { ...checks, ...POLLING };
  }
}

const browser = await chromium.launch({ ...BROWSER, timeout: 30_000 });
for (const transport of TRANSPORTS) {
  for (const [name, body] of Object.entries(checksOf(transport))) {
    const sentence = `0.6 ${transport}: ${name}`;
    if (sentence.includes(words)) {
      const clients = new Clients(browser, transport);
      await check(sentence, () => body(clients), 40);
      await clients.closeAll();
    }
  }
}
await browser.close();
finish();
