// Runs a node server for check.py, and obeys its lines.
//
//     node server.mjs '{"path": "/path/of/redis.sock", "client": "redis", "adapter": "classic", ..}'
//
// client    "redis" or "ioredis": the library below the adapter
// adapter   "classic", "streams", "6.1.1" (socket.io-redis of Socket.IO 3), "5.4.0" (with a Socket.IO 2 server), or
//           "none": emitters only
// options   for the adapter, such as {"key": "other"}
//
// Each line of the input is {"id", "code", "args"}: the body of an async function, in whose scope are `io`, `args`,
// `at`, `heard` (a list for what listeners hear), `emitter`, `oldEmitter`. Each is answered by a line {"id", "value"} or
// {"id", "error"}. The first line of the output is {"port"}. Bytes are {"$bytes": base64}. The process ends with its input.

import { once } from "node:events";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createAdapter as createClassic } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createAdapter as createStreams } from "@socket.io/redis-streams-adapter";
import { createAdapter as create611 } from "adapter-6.1.1";
import create540 from "adapter-5.4.0";
import Redis from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import Server2 from "server-2.5.1";
import makeOldEmitter from "socket.io-emitter";

const { path, client, adapter, options = {} } = JSON.parse(process.argv[2]);
console.log = console.error;    // the output is for answers

async function connectRedis() {
  if (client === "ioredis") {
    const connection = new Redis(path, { maxRetriesPerRequest: null });
    connection.on("error", () => {});    // it reconnects by itself
    await once(connection, "ready");    // a subscription before that can end the process
    return connection;
  }
  const connection = createClient({ socket: { path } });
  connection.on("error", () => {});    // it reconnects by itself
  await connection.connect();
  return connection;
}

async function makeAdapter() {
  const publisher = await connectRedis();
  if (adapter === "streams") {
    return createStreams(publisher, options);
  }
  const subscriber = await connectRedis();
  if (adapter === "6.1.1") {
    return create611({ pubClient: publisher, subClient: subscriber, ...options });
  }
  return adapter === "5.4.0"
    ? create540({ pubClient: publisher, subClient: subscriber, ...options })
    : createClassic(publisher, subscriber, options);
}

function serve(socket) {
  socket.data = { ...socket.data };
  socket.on("whoami", (answer) => answer(socket.id));
  socket.on("enter", (...args) => {
    args[0].forEach((room) => socket.join(room));
    args[1]();
  });
  socket.on("remember", (data, answer) => {
    Object.assign(socket.data, data);
    answer();
  });
  socket.on("echo", (...args) => args.at(-1)(...args.slice(0, -1)));
}

async function makeServer(http) {
  const made = await makeAdapter();
  if (adapter === "5.4.0") {
    const io = new Server2(http, { serveClient: false });
    io.adapter(made);
    io.on("connection", serve);
    return io;
  }
  const io = new Server(http, {
    allowEIO3: true,
    cleanupEmptyChildNamespaces: true,
    adapter: made,
    serveClient: false,
  });
  io.on("connection", serve);
  io.of(/^\/(case|many)-/).on("connection", serve);
  return io;
}

// -- Lines -----------------------------------------------------------------------------

function plain(value) {
  if (value instanceof Uint8Array || value instanceof ArrayBuffer) {
    return { $bytes: Buffer.from(value).toString("base64") };
  }
  if (value instanceof Error) {
    return { message: value.message, responses: plain(value.responses) };
  }
  if (value instanceof Set || value instanceof Map) {
    return plain([...value]);
  }
  if (Array.isArray(value)) {
    return value.map(plain);
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  }
  return value;
}

function revive(key, value) {
  return typeof value?.$bytes === "string" ? Buffer.from(value.$bytes, "base64") : value;
}

const AsyncFunction = (async () => {}).constructor;

async function obey({ id, code, args }) {
  let answer;
  try {
    const run = new AsyncFunction(...Object.keys(scope), "args", code);
    answer = { id, value: plain(await run(...Object.values(scope), args)) ?? null };
  } catch (error) {
    answer = { id, error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

// Chooses whom something is for, as the verbs of peers.py say it.
function at({ namespace = "/", rooms = [], except = [], volatile, local, compress }) {
  let chosen = scope.io.of(namespace);
  chosen = rooms.length ? chosen.to(rooms) : chosen;
  chosen = except.length ? chosen.except(except) : chosen;
  chosen = volatile ? chosen.volatile : chosen;
  chosen = compress === false ? chosen.compress(false) : chosen;
  return local ? chosen.local : chosen;
}

const http = createServer();
const scope = { at, heard: [], io: null, emitter: null, oldEmitter: null };
if (adapter === "none") {
  const publisher = await connectRedis();
  scope.emitter = new Emitter(publisher, options);
  scope.oldEmitter = client === "ioredis" ? makeOldEmitter(publisher) : null;    // it knows no younger client
} else {
  scope.io = await makeServer(http);
}
http.listen(0, "127.0.0.1", () => process.stdout.write(`${JSON.stringify({ port: http.address().port })}\n`));
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => obey(JSON.parse(line, revive)));
lines.on("close", () => process.exit());
