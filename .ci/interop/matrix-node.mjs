// One client of the matrix in Node, in a process of its own; matrix.mjs starts it.
//
//     node matrix-node.mjs http://127.0.0.1:PORT CLIENT [words]      prints one JSON object per check

import events from "node:events";
import { createRequire } from "node:module";
import { act } from "./matrix-checks.mjs";
import { clientOf, transportsOf } from "./matrix-clients.mjs";
import { surroundings } from "./matrix-lines.mjs";

const [server, title, words = ""] = process.argv.slice(2);

const require = createRequire(import.meta.url);
const client = clientOf(title);
process.EventEmitter = events.EventEmitter;    // Node of 2011 had it there, and 0.7 looks for it there
const io = require(client.package);
const fetchTransport = transportsOf(client).includes("fetch") ? engineOf(client).Fetch : undefined;

const parser = client.dialect.parser && require(client.dialect.parser);

await act(client, { ...surroundings(server), io, bytes: Buffer.from, parser }, words, fetchTransport);
process.exit();

// The package engine.io-client that this client itself uses.
function engineOf({ package: name }) {
  return createRequire(require.resolve(name))("engine.io-client");
}
