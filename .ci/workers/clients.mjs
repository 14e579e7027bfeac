// Real clients of several generations that talk to each other through workers; check.py starts this and reads its lines.
//
//     node clients.mjs ADDRESS COUNT talk       each asks and says so many things, then all are compared
//     node clients.mjs ADDRESS COUNT survive    each asks until standard input ends, whatever becomes of its worker
//
// Prints READY when all are connected, and in the end a JSON object: `problems`, and of each of the `clients` its name, the
// process that has served it first, and how often it has lost its connection.

import { createRequire } from "node:module";
import { eventually, pause, within } from "../interop/checks.mjs";
import { clientOf, wayOf } from "../interop/matrix-clients.mjs";

const KINDS = [
  ["1.7.4 Node", "polling"], ["1.7.4 Node", "upgrade"], ["1.7.4 Node", "websocket"],
  ["2.5.0 Node", "polling"], ["2.5.0 Node", "upgrade"], ["2.5.0 Node", "websocket"],
  ["4.8.4 Node", "polling"], ["4.8.4 Node", "upgrade"], ["4.8.4 Node", "websocket"],
  ["0.9.17 Node", "polling"],
];
const ROOM_SIZE = 10;    // one client of each kind, wherever they are
const QUESTIONS = 10;
const WORDS = 5;
const LARGE = 700_000;    // bytes; base64 makes a POST of 930 kB of them
const SECONDS = 60;

const [address, count, task] = process.argv.slice(2);
const require = createRequire(new URL("../interop/package.json", import.meta.url));
const problems = [];

class Client {
  constructor(number) {
    const [title, transport] = KINDS[number % KINDS.length];
    const kind = clientOf(title);
    const options = wayOf(kind, transport).options;
    this.number = number;
    this.name = `${number} (${kind.version} ${transport})`;
    this.room = `room ${Math.floor(number / ROOM_SIZE)}`;
    this.hasBytes = kind.dialect.hasBytes;
    this.heard = {};    // what each client has said, by its number
    this.losses = 0;
    this.socket = kind.dialect.open(require(kind.package), {
      address, namespace: "", parameters: {}, options, reconnects: true,
    });
    this.connected = new Promise((resolve) => { this.arrive = resolve; });
    this.lost = new Promise((resolve) => { this.lose = resolve; });
    this.socket.on("connect", () => this.arrive());
    this.socket.on("disconnect", () => {
      this.losses += 1;
      this.connected = new Promise((resolve) => { this.arrive = resolve; });
      this.lose();
      this.lost = new Promise((resolve) => { this.lose = resolve; });
    });
    this.socket.on("said", (who, word) => { (this.heard[who] ??= []).push(word); });
  }

  // What the server answers to an event.
  ask(name, ...args) {
    const answer = new Promise((resolve) => { this.socket.emit(name, ...args, resolve); });
    return within(SECONDS, () => `the answer to ${name} for client ${this.name}`, answer);
  }

  async enter() {
    await within(SECONDS, () => `client ${this.name} to connect`, this.connected);
    this.pid = await this.ask("enter", this.room);
  }

  async echo(value) {
    const back = await this.ask("echo", value);
    const same = Buffer.isBuffer(value) ? value.equals(Buffer.from(back)) : value === back;
    if (!same) {
      problems.push(`client ${this.name} sent ${String(value).slice(0, 60)} and got ${String(back).slice(0, 60)}`);
    }
  }

  async talk() {
    for (let question = 0; question < QUESTIONS; question += 1) {
      await this.echo(`${question} ${"words ".repeat(question)}`);
    }
    if (Math.floor(this.number / KINDS.length) % 4 === 0) {    // a few clients of each kind
      await this.echo("x".repeat(LARGE));
      if (this.hasBytes) {
        await this.echo(Buffer.alloc(LARGE, this.number));
      }
    }
    for (let word = 0; word < WORDS; word += 1) {
      this.socket.emit("say", this.room, this.number, word);
    }
  }

  hasHeardAll(clients) {
    return clients.every(({ room, number }) => room !== this.room || this.heard[number]?.length >= WORDS);
  }

  // What everybody in the room has said has come once, and in order.
  async compare(clients) {
    await eventually(SECONDS, `client ${this.name} to hear everybody`, () => this.hasHeardAll(clients));
    for (const [who, words] of Object.entries(this.heard)) {
      if (words.some((word, index) => word !== index)) {
        problems.push(`client ${this.name} heard ${words} from ${who}`);
      }
    }
  }

  // Asks again and again. The answer that a dying worker owes is lost with the connection, and only that.
  async survive(stopping) {
    let losses = 0;    // after which this client is in its room again
    while (losses !== this.losses || !stopping.done) {
      const losing = this.losses;
      const asked = losses === losing ? this.echo("still there?") : this.enter();
      if (await Promise.race([asked.then(() => true), this.lost.then(() => false)])) {
        losses = losing;
      }
      await pause(0.3);
    }
  }
}

async function talk(clients) {
  await all(clients, (client) => client.talk());
  await all(clients, (client) => client.compare(clients));
}

async function survive(clients) {
  const stopping = { done: false };
  process.stdin.on("end", () => { stopping.done = true; }).resume();
  await all(clients, (client) => client.survive(stopping));
}

// Does something for all clients at once; what fails is a problem, and harms no other client.
async function all(clients, act) {
  await Promise.all(clients.map((client) => act(client).catch((error) => { problems.push(error.message); })));
}

process.on("unhandledRejection", (error) => { problems.push(String(error)); });
const clients = Array.from({ length: Number(count) }, (_, number) => new Client(number));
await all(clients, (client) => client.enter());
const beginning = clients.map(({ name, pid }) => ({ name, pid }));
console.log("READY");
await (task === "talk" ? talk(clients) : survive(clients));
const report = beginning.map((known, index) => ({ ...known, losses: clients[index].losses }));
console.log(JSON.stringify({ problems, clients: report }));
process.exit();
