// What the checks of the matrix are written with: the clients of one check, and how to ask and compare.
//
// This file runs in Node and in pages: it imports only what runs there too. `stage` stands for what the checks need of
// the world outside a client; Node and pages each provide
//
//     io                          the client library
//     server                      the address of the server
//     openLine(delay)             a proxy before the server: resolves to { address, number }
//     cutLine(number, seconds)    cuts the connections of that proxy, and keeps it down for so long
//     closeReason(id)             why the server thinks that a client left; waits until the server knows
//     bytes(numbers)              the type in which this client sends bytes
//     parser                      the parser that the client is to be given, if any
//     report(result)              takes { transport, check, error } of each check; no error means that it passed

import { next, pause, within } from "./checks.mjs";

export const SECONDS = 15;
export const PATIENCE = 30;    // seconds, for what some clients take long to encode
const BELOW_PING_INTERVAL = 4.5;    // seconds: the server's ping would set a stalled upgrade going again

// -- The clients of one check -----------------------------------------------------------

export class Clients {
  constructor(client, way, stage) {
    this.dialect = client.dialect;
    this.way = way;
    this.stage = stage;
    this.tag = `${way.name} ${Math.random().toString(36).slice(2)}`;    // other checks use the same server
    this.opened = [];
  }

  // A client that is connecting, over a connection of its own. It does not reconnect unless told to.
  open({ namespace = "", address = this.stage.server, parameters = {}, reconnects = false, ...more } = {}) {
    const { parser } = this.stage;
    const { path } = this.dialect;
    const options = { ...this.way.options, ...(parser && { parser }), ...(path && { path }), ...more };
    const socket = this.dialect.open(this.stage.io, { address, namespace, parameters, options, reconnects });
    this.opened.push(socket);
    return socket;
  }

  async connect(options) {
    const socket = this.open(options);
    const upgraded = this.way.waitsForUpgrade && this.upgrade(socket);
    await next(socket, "connect");
    await upgraded;
    return socket;
  }

  connectSeveral(count) {
    return Promise.all(Array.from({ length: count }, () => this.connect()));
  }

  // Only the second half can stall: the server has answered the probe, and has yet to end the poll.
  upgrade(socket) {
    const { engine } = socket.io;
    const upgraded = new Promise((resolve) => { engine.once("upgrade", resolve); });
    const probed = next(engine, "upgrading", SECONDS);
    const stages = probed.then(() => within(BELOW_PING_INTERVAL, '"upgrade", after "upgrading"', upgraded));
    stages.catch(() => {});    // a check that failed earlier never awaits this promise
    return stages;
  }

  async join(socket, namespace, parameters) {
    const joined = this.dialect.join(socket, namespace, parameters);
    await next(joined, "connect");
    return joined;
  }

  // A proxy before the server, which takes so many seconds for each chunk.
  async openLine(delay = 0) {
    const { address, number } = await this.stage.openLine(delay);
    return { address, cut: (seconds = 0) => this.stage.cutLine(number, seconds) };
  }

  // The texts that "told" brought and this check has tagged. The ack comes after everything the server sent before it.
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

// -- Asking -----------------------------------------------------------------------------

// The first arguments of `count` events, in the order in which they came.
export function nextSeveral(socket, name, count) {
  const heard = [];
  return within(2 * SECONDS, () => `${count} times "${name}", heard ${heard.length}`, new Promise((resolve) => {
    socket.on(name, (value) => heard.push(value) === count && resolve(heard));
  }));
}

// All arguments of the ack.
export function ask(socket, name, ...args) {
  return within(SECONDS, `the ack of "${name}"`, new Promise((resolve) => {
    socket.emit(name, ...args, (...answer) => resolve(answer));
  }));
}

export function answersWithin(seconds, socket) {
  const answer = new Promise((resolve) => { socket.emit("ask", "back", () => resolve(true)); });
  return Promise.race([answer, pause(seconds)]);
}

export async function echoOf(socket, ...args) {
  return patientEchoOf(socket, SECONDS, ...args);
}

export async function patientEchoOf(socket, seconds, ...args) {
  const echoed = next(socket, "echo", seconds);
  socket.emit("echo", ...args);
  return echoed;
}

export async function comesBack(socket, text) {
  const [echoed] = await patientEchoOf(socket, PATIENCE, text);
  isTrue(echoed === text, `${echoed?.length} characters came back, or others`);
}

// The echo of a message. `send` is what text messages and JSON messages of 0.9 differ in.
export async function messageOf(socket, message, send = (value) => socket.send(value)) {
  const echoed = next(socket, "message");
  send(message);
  return echoed;
}

// Acknowledges every "question" with `answer`; the questions are added to the list that is returned.
export function answerQuestions(socket, ...answer) {
  const asked = [];
  socket.on("question", (...args) => {
    const reply = args.pop();
    asked.push(args);
    reply(...answer);
  });
  return asked;
}

// Has the server ask this client a question, and returns what the server says to have got as the answer.
export async function answered(socket, question, ...args) {
  const result = next(socket, "answered");
  socket.emit(question, ...args);
  return result;
}

// -- Comparing --------------------------------------------------------------------------

export const numbers = (count) => Array.from({ length: count }, (_, number) => number);

export function same(actual, expected) {
  const [got, wanted] = [plain(actual), plain(expected)];
  isTrue(got === wanted, `${inExcerpt(got)} is not ${inExcerpt(wanted)}`);
}

export function matches(text, pattern) {
  isTrue(pattern.test(text), `${text} is not like ${pattern}`);
}

export function isTrue(condition, otherwise) {
  if (!condition) {
    throw new Error(otherwise);
  }
}

// JSON in which bytes of every type look alike.
export function plain(value) {
  return JSON.stringify(withoutBytes(value));
}

// Private.

function inExcerpt(text) {
  return text.length > 200 ? `${text.slice(0, 200)}... (${text.length} characters)` : text;
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
