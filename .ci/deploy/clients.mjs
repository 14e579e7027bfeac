// Real clients of several generations behind proxies; check.py starts this, and reads its lines.
//
//     node clients.mjs '[{"name": "nginx", "address": "https://localhost:PORT", "prefix": ""}, ...]'
//
// Each kind connects through each front, and asks who it is and for a large text back; then READY is printed. A line "ask"
// at standard input has everybody ask once more, after which ASKED is printed. At its end everybody waits for the server
// to say goodbye. A problem is a line of its own that begins with FAILED.

import { once } from "node:events";
import http2 from "node:http2";
import https from "node:https";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { inShort, within } from "../interop/checks.mjs";
import { clientOf, wayOf } from "../interop/matrix-clients.mjs";

const KINDS = [
  ["0.9.17 Node", "polling"], ["0.9.17 Node", "websocket"],
  ["2.5.0 Node", "polling"], ["2.5.0 Node", "websocket"], ["2.5.0 Node", "upgrade"],
  ["4.8.4 Node", "polling"], ["4.8.4 Node", "websocket"], ["4.8.4 Node", "upgrade"],
];
const LARGE = "0123456789".repeat(90_000);
const SECONDS = 30;
const OURS = "127.0.0.2";    // the address of these clients, which is not that of the proxies
const agent = new https.Agent({ localAddress: OURS, keepAlive: true, maxSockets: Infinity });

const fronts = JSON.parse(process.argv[2]);
const require = createRequire(new URL("../interop/package.json", import.meta.url));

class Client {
  constructor(front, title, transport) {
    const kind = clientOf(title);
    this.name = `${kind.version} ${transport} through ${front.name}`;
    this.kind = kind;
    this.transport = transport;
    this.isOld = kind.dialect.name === "0.9";
    const options = { ...wayOf(kind, transport).options };
    if (!this.isOld) {
      // The page of a browser would send this Origin with its WebSocket.
      Object.assign(options, { agent, extraHeaders: { Origin: front.address }, path: `${front.prefix}/socket.io` });
    }
    this.socket = kind.dialect.open(require(kind.package), {
      address: front.address, namespace: "", parameters: {}, options, reconnects: false,
    });
    this.connected = new Promise((resolve) => { this.socket.on("connect", resolve); });
    this.gone = new Promise((resolve) => { this.socket.on("disconnect", resolve); });
    this.isGone = false;
    this.gone.then((reason) => { this.isGone = true; this.reason = reason; });
  }

  ask(name, ...args) {
    const answer = new Promise((resolve) => { this.socket.emit(name, ...args, resolve); });
    return within(SECONDS, () => `the answer to ${name}, gone: ${this.reason}`, answer);
  }

  async begin() {
    await within(SECONDS, "a connection", this.connected);
    const name = this.transport === "polling" ? "xhr-polling" : "websocket";
    let who = await this.ask("who");
    for (let tries = 0; this.transport === "upgrade" && who.transport !== name && tries < 100; tries += 1) {
      await new Promise((resolve) => { setTimeout(resolve, 50); });
      who = await this.ask("who");
    }
    expect(who.transport, name, "transport");
    expect(who.scheme, "https", "scheme");
    expect(who.address, this.isOld ? "127.0.0.1" : OURS, "address");    // 0.9 has no option for its own address
    await this.askForMuch();
  }

  async askForMuch() {
    expect((await this.ask("echo", LARGE)) === LARGE, true, "a large text back");
  }

  async askAgain() {
    if (this.isGone) {
      throw new Error(`was disconnected: ${this.reason}`);
    }
    expect(await this.ask("echo", "still there?"), "still there?", "answer");
  }

  async hearGoodbye() {
    await within(SECONDS, "the goodbye", this.gone);
  }
}

function expect(got, wanted, what) {
  if (got !== wanted) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`);
  }
}

// A browser speaks HTTP/2 with the proxy: a handshake, a join, and two packets at the same time as the held poll.
async function pollByHttp2({ name, address, prefix }) {
  const session = http2.connect(address);
  session.on("error", () => {});
  const ask = async (query, body) => {
    const method = body === undefined ? "GET" : "POST";
    const stream = session.request({
      ":method": method, ":path": `${prefix}/socket.io/?EIO=4&transport=polling${query}`, "origin": address,
      ...(body === undefined ? {} : { "content-type": "text/plain;charset=UTF-8" }),
    });
    stream.end(body);
    const [headers] = await once(stream, "response");
    const chunks = [];
    for await (const chunk of stream) { chunks.push(chunk); }
    return `${headers[":status"]} ${Buffer.concat(chunks)}`;
  };
  try {
    const opened = await ask("");
    expect(opened.slice(0, 5), "200 0", "the handshake by HTTP/2");
    const sid = JSON.parse(opened.slice(5)).sid;
    await ask(`&sid=${sid}`, "40");
    expect((await ask(`&sid=${sid}`)).slice(0, 6), "200 40", "the join by HTTP/2");
    const poll = ask(`&sid=${sid}`);
    await ask(`&sid=${sid}`, '420["echo","by HTTP/2"]');
    expect(await poll, '200 430["by HTTP/2"]', "the answer by HTTP/2");
    if (session.remoteSettings.enableConnectProtocol) {
      await openWebSocketByHttp2(session, address, prefix);
    }
    await ask(`&sid=${sid}`, "1");
  } finally {
    session.close();
  }
}

// Where the proxy offers it (RFC 8441), Chromium opens its WebSockets on the connection that it has.
async function openWebSocketByHttp2(session, address, prefix) {
  const stream = session.request({
    ":method": "CONNECT", ":protocol": "websocket", ":path": `${prefix}/socket.io/?EIO=4&transport=websocket`,
    "origin": address, "sec-websocket-version": "13",
  });
  const [headers] = await once(stream, "response");
  expect(headers[":status"], 200, "the WebSocket by HTTP/2");
  const [data] = await once(stream, "data");
  expect(data.includes('0{"sid"'), true, "the first frame by HTTP/2");
  stream.close();
}

// Does something for all at once; what fails is a problem, and harms nobody else.
async function all(things, act) {
  await Promise.all(things.map((thing) => act(thing).catch((error) => {
    console.log(`FAILED ${thing.name}: ${inShort(error)}`);
  })));
}

process.on("unhandledRejection", (error) => { console.log(`FAILED ${inShort(error)}`); });
process.on("uncaughtException", (error) => { console.log(`FAILED ${inShort(error)}`); });
const clients = fronts.flatMap((front) => KINDS.filter(([title]) => !front.prefix || !title.startsWith("0"))
  .map(([title, transport]) => new Client(front, title, transport)));
await all(clients, (client) => client.begin());
await all(fronts, (front) => within(SECONDS, "HTTP/2", pollByHttp2(front)));
console.log(`READY ${clients.length} clients`);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "ask") {
    await all(clients, (client) => client.askAgain());
    console.log("ASKED");
  }
}
await all(clients.filter((client) => !client.isGone), (client) => client.hearGoodbye());
console.log("GONE");
process.exit();
