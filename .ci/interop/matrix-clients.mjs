// The real clients of the matrix, and the words that their dialects have for what the checks do.
//
// This file runs in Node and in pages, and imports nothing. A new version is a line in CLIENTS. What a client cannot do
// stands there with the reason, which was found by running it against the server of its own time.

// -- Dialects -----------------------------------------------------------------------------

// Socket.IO 0.6 has checks of its own, in ancestor.mjs.
const FRAMED = {
  name: "0.6",
  transports: {
    "websocket": { protocols: ["websocket"] },
    "polling": { protocols: ["xhr-polling"] },
    "jsonp": { protocols: ["jsonp-polling"] },
  },
};

// Socket.IO 0.7 to 0.9. A socket is a namespace of `socket.socket`, the connection.
const PROTOCOL_1 = {
  name: "0.9",
  hasBytes: false,
  hasJSONFlag: true,
  transports: {
    "websocket": { options: { transports: ["websocket"] }, protocols: ["websocket"] },
    "polling": { options: { transports: ["xhr-polling"] }, protocols: ["xhr-polling"] },
    "jsonp": { options: { transports: ["jsonp-polling"] }, protocols: ["jsonp-polling"] },
  },
  serverDisconnect: /^booted$/,
  clientDisconnect: /^booted$/,
  closeReason: /^(client namespace disconnect|booted)$/,
  closeReasonOfAKick: /^(server namespace disconnect|booted)$/,

  open(io, { address, namespace, parameters, options, reconnects }) {
    const socket = io.connect(address + namespace + query(parameters), {
      "force new connection": true, "reconnect": reconnects, "reconnection delay": 50,
    });
    socket.socket.options.transports = options.transports;    // as an option above, 0.x would use them for all clients
    [socket, socket.socket].forEach((emitter) => emitter.on("error", () => {}));    // 0.7 in Node ends on an unheard error
    return socket;
  },
  join: (socket, namespace) => socket.socket.of(namespace),
  connectionParameters: (parameters) => parameters,    // sent with the handshake, once for all namespaces
  knownId: (socket) => socket.socket.sessionid,
  knownIdIn: (socket) => socket.socket.sessionid,
  refused: (socket) => heard(socket, "connect_failed", (reason) => ({ message: reason })),
  refusal: { message: "unauthorized" },
  hearsOfNoNamespace: false,    // the server of its time does not answer
  isSettled: (socket) => !socket.socket.doBuffer,    // a goodbye that has to wait for the end of a post is never sent
  close(socket) {
    socket.socket.options.reconnect = false;
    clearTimeout(socket.socket.reconnectionTimer);
    socket.socket.disconnect();
  },
};

// Socket.IO 1.0 and later: what all these versions have in common.
const ENGINE = {
  hasBytes: true,
  hasJSONFlag: false,
  transports: {
    "websocket": { options: { transports: ["websocket"] }, protocols: ["websocket"] },
    "polling": { options: { transports: ["polling"] }, protocols: ["xhr-polling"] },
    "upgrade": { options: { transports: ["polling", "websocket"] }, protocols: ["xhr-polling", "websocket"], upgrades: true },
    "jsonp": { options: { transports: ["polling"], forceJSONP: true }, protocols: ["jsonp-polling"] },
  },
  serverDisconnect: /^io server disconnect$/,
  clientDisconnect: /^io client disconnect$/,
  closeReason: /^client namespace disconnect$/,
  closeReasonOfAKick: /^server namespace disconnect$/,
  hearsOfNoNamespace: true,
  isSettled: () => true,
  close(socket) {
    const manager = socket.io;
    (manager._close ?? manager.close).call(manager);
  },
};

// 1.x and 2.x. The parameters are the query of the address.
const ENGINE_IO_3 = {
  ...ENGINE,
  name: "EIO3",
  open(io, { address, namespace, parameters, options, reconnects }) {
    return io(address + namespace + query(parameters), {
      ...options, forceNew: true, reconnection: reconnects, reconnectionDelay: 50,
    });
  },
  join: (socket, namespace, parameters) => socket.io.socket(namespace, { query: query(parameters).slice(1) }),
  connectionParameters: (parameters) => parameters,    // 1.x has none for a single namespace
  knownId: (socket) => socket.id ?? socket.io.engine.id,
  knownIdIn: (socket, namespace) => `${namespace}#${socket.io.engine.id}`,    // as 2.x computes it
  refused: (socket) => heard(socket, "error", (data) => data),
  refusal: { why: "the token is wrong" },
  refusalOfNoNamespace: "Invalid namespace",
};

// 1.0 closes its transport at once, so that its goodbye may not be sent any more.
const LEAVES_AT_ONCE = { ...ENGINE_IO_3, closeReason: /^(client namespace disconnect|transport close|ping timeout)$/ };

// 3.x and 4.x. The parameters are the payload of CONNECT.
const ENGINE_IO_4 = {
  ...ENGINE,
  name: "EIO4",
  hidesTheSid: true,    // a client is known by another id than the connection, whose id is secret
  open(io, { address, namespace, parameters, options, reconnects }) {
    return io(address + namespace, {
      ...options, auth: parameters, forceNew: true, reconnection: reconnects, reconnectionDelay: 50,
    });
  },
  join: (socket, namespace, parameters) => socket.io.socket(namespace, { auth: parameters }),
  connectionParameters: () => ({}),
  knownId: (socket) => socket.id,
  knownIdIn: (socket) => socket.id,
  refused: (socket) => heard(socket, "connect_error", ({ message, data }) => (data ? { message, data } : message)),
  refusal: { message: "Not authorized", data: { why: "the token is wrong" } },
  refusalOfNoNamespace: "Invalid namespace",
};

// 4.x with packets in msgpack. In Node the parser is an option; the bundle for pages has no other.
const MSGPACK = {
  ...ENGINE_IO_4,
  name: "EIO4-msgpack",
  path: "/msgpack",
  parser: "socket.io-msgpack-parser",
  close: (socket) => socket.io.disconnect(),    // the bundle is minified: its `_close` has another name
};

function query(parameters) {
  return Object.keys(parameters).length ? `?${new URLSearchParams(parameters)}` : "";
}

function heard(socket, name, normalized) {
  return new Promise((resolve) => { socket.once(name, (value) => resolve(normalized(value))); });
}

// -- Clients ------------------------------------------------------------------------------

const NEEDS_A_PAGE = "JSONP needs a page";
const NO_UPGRADE = "upgrades came with 1.0";
const NO_FETCH = "fetch came with 4.8, for those who import its transport";
const NEVER_ABORTS = "lets its old polls hang until a browser has no connection left";
const NO_JSONP = "JSONP went with 4.3";

const IN_NODE = { jsonp: NEEDS_A_PAGE, fetch: NO_FETCH };
const IN_PYTHON = { jsonp: NEEDS_A_PAGE, fetch: NO_FETCH };
const IN_A_PAGE = { fetch: NO_FETCH };
const SENDS_NO_BYTES = Object.fromEntries([
  "sends and gets bytes, nested ones too", "gets and gives bytes in acks",
  "keeps the order of events with and without bytes", "sends and gets 300 kB of bytes",
].map((check) => [check, "sends zeros in place of what is in a Buffer of today"]));
const LARGE_BYTES = { "sends and gets 300 kB of bytes": "overflows its stack when it turns them into base64" };
const LARGE_BYTES_AND_LETTERS = {
  ...LARGE_BYTES,
  "sends and gets 300 kB of three-byte letters": "stops Chromium for a minute, now and then, before the form is sent",
};
const LATE = { "is reached again after its connections were cut": "notices a cut only after the close timeout, 60 s" };
const NO_BYTES = { "sends and gets bytes": "has no bytes" };
const UNORDERED = {
  "*": { "gets 200 events in order": "hears each message in a thread of its own, and they overtake each other" },
  polling: { "gets 200 events in order": "takes no body of more than 16 packets" },
};
const PYTHON_HTTP = ["requests==2.34.2", "websocket-client==1.9.2"];
const HIXIE = { websocket: "its WebSocket library needs a Node of 2011 (http.createClient), and speaks hixie-76" };

function packageOf(version) {
  return `client-${version.split(" ")[0]}`;
}

function inNode(version, dialect, rest = {}) {
  return { version, dialect, place: "Node", package: packageOf(version), ...rest, cannot: { ...IN_NODE, ...rest.cannot } };
}

function inChromium(version, dialect, bundle, rest = {}) {
  return { version, dialect, place: "Chromium", bundle: `${packageOf(version)}/${bundle}`, ...rest, cannot: { ...IN_A_PAGE, ...rest.cannot } };
}

// A library from PyPI, for matrix_client.py. Its dependencies are pinned too; each library has its own environment.
function inPython(version, dialect, requirements, rest = {}) {
  const library = version.split(" ")[0];
  return { version, dialect, place: "Python", library, requirements, ...rest, cannot: { ...IN_PYTHON, ...rest.cannot } };
}

const ANCESTOR = {
  version: "0.6.18", dialect: FRAMED, place: "Chromium", script: "ancestor.mjs",
  cannot: { ...IN_A_PAGE, upgrade: NO_UPGRADE },
  skips: { jsonp: { "disconnects itself, and the server notices": "lets its last poll wait, and begins anew after it" } },
};

// `cannot` says why a transport is left out; `skips` says why a check is, by transport ("*": all) and name of the check.
export const CLIENTS = [
  ANCESTOR,
  inNode("0.7.11", PROTOCOL_1, {
    cannot: { ...HIXIE, upgrade: NO_UPGRADE },
    skips: { polling: LATE },
  }),
  inNode("0.8.7", PROTOCOL_1, { cannot: { ...HIXIE, upgrade: NO_UPGRADE } }),
  inNode("0.9.17", PROTOCOL_1, { cannot: { upgrade: NO_UPGRADE } }),
  inNode("1.0.6", LEAVES_AT_ONCE, { skips: { "*": SENDS_NO_BYTES } }),
  inNode("1.3.7", ENGINE_IO_3),
  inNode("1.4.8", ENGINE_IO_3),
  inNode("1.7.4", ENGINE_IO_3),
  inNode("2.0.4", ENGINE_IO_3),
  inNode("2.3.1", ENGINE_IO_3),
  inNode("2.5.0", ENGINE_IO_3),
  inNode("3.0.5", ENGINE_IO_4),
  inNode("3.1.3", ENGINE_IO_4),
  inNode("4.0.2", ENGINE_IO_4),
  inNode("4.4.1", ENGINE_IO_4),
  inNode("4.5.4", ENGINE_IO_4),
  inNode("4.6.2", ENGINE_IO_4),
  inNode("4.7.5", ENGINE_IO_4),
  inNode("4.8.4", ENGINE_IO_4, { cannot: { fetch: undefined } }),
  inNode("4.8.4 msgpack", MSGPACK),
  inChromium("0.7.11", PROTOCOL_1, "dist/socket.io.js", {
    cannot: { upgrade: NO_UPGRADE },
    skips: { websocket: LATE },
  }),
  inChromium("0.9.17", PROTOCOL_1, "dist/socket.io.js", { cannot: { upgrade: NO_UPGRADE } }),
  inChromium("1.0.6", LEAVES_AT_ONCE, "socket.io.js", { cannot: { jsonp: NEVER_ABORTS } }),
  inChromium("1.3.7", ENGINE_IO_3, "socket.io.js", { skips: { jsonp: LARGE_BYTES_AND_LETTERS } }),
  inChromium("1.7.4", ENGINE_IO_3, "dist/socket.io.js", { skips: { jsonp: LARGE_BYTES_AND_LETTERS } }),
  inChromium("2.5.0", ENGINE_IO_3, "dist/socket.io.js", { skips: { jsonp: LARGE_BYTES } }),
  inChromium("3.1.3", ENGINE_IO_4, "dist/socket.io.js"),
  inChromium("4.8.4", ENGINE_IO_4, "dist/socket.io.js", { cannot: { jsonp: NO_JSONP } }),
  inChromium("4.8.4 msgpack", MSGPACK, "dist/socket.io.msgpack.min.js", { cannot: { jsonp: NO_JSONP } }),
  inPython("socketIO-client 0.5.7.2", PROTOCOL_1, ["socketIO-client==0.5.7.2", "six==1.17.0", ...PYTHON_HTTP], {
    cannot: { upgrade: NO_UPGRADE },
    skips: {
      "*": NO_BYTES,
      "websocket": {
        "is disconnected by the server": "looks for an SSLError in a place where websocket-client of today has none",
        "lives through heartbeats": "answers none, but sends its own every 30 s, which is too seldom for the short timeouts of a test",
      },
    },
  }),
  inPython("socketIO-client 0.6.5", ENGINE_IO_3, ["socketIO-client==0.6.5", "six==1.17.0", ...PYTHON_HTTP], {
    cannot: { websocket: "takes no letter beyond Latin-1 to a WebSocket in Python 3", upgrade: "its upgrade would end in the same WebSocket" },
    skips: { "*": { ...NO_BYTES, "gets a message back": "takes messages of Engine.IO for messages of Socket.IO" } },
  }),
  inPython("python-socketio 4.6.1", ENGINE_IO_3, ["python-socketio==4.6.1", "python-engineio==3.14.2", "six==1.17.0", ...PYTHON_HTTP], {
    skips: UNORDERED,
  }),
  inPython("python-socketio 5.11.4", ENGINE_IO_4, ["python-socketio==5.11.4", "python-engineio==4.15.1", ...PYTHON_HTTP], {
    skips: UNORDERED,
  }),
  inPython("python-socketio 5.11.4 msgpack", MSGPACK,
    ["python-socketio==5.11.4", "python-engineio==4.15.1", "msgpack==1.2.4", ...PYTHON_HTTP], { skips: UNORDERED }),
];

// The newest client once more, for the questions that only this one is asked, and over one way more.
export const NEWEST = {
  ...inNode("4.8.4 in depth", ENGINE_IO_4, { isAskedInDepth: true }),
  dialect: {
    ...ENGINE_IO_4,
    transports: {
      ...ENGINE_IO_4.transports,
      upgraded: { options: ENGINE_IO_4.transports.upgrade.options, protocols: ["websocket"], waitsForUpgrade: true },
    },
  },
  transports: ["websocket", "polling", "upgrade", "upgraded"],
};

export const TRANSPORTS = ["websocket", "polling", "upgrade", "jsonp", "fetch"];

export function titleOf(client) {
  return `${client.version} ${client.place}`;
}

export function clientOf(title) {
  return [...CLIENTS, NEWEST].find((client) => titleOf(client) === title);
}

export function transportsOf(client) {
  return client.transports ?? TRANSPORTS.filter((transport) => !client.cannot[transport]);
}

// How a client connects over a transport. `fetchTransport` is the class that an application of 4.8 in Node hands over.
export function wayOf(client, transport, fetchTransport) {
  if (transport === "fetch") {
    return { name: transport, options: { transports: [fetchTransport] }, protocols: ["xhr-polling"] };
  }
  return { name: transport, ...client.dialect.transports[transport] };
}

export function whySkipped(client, transport, check) {
  return client.skips?.[transport]?.[check] ?? client.skips?.["*"]?.[check];
}
