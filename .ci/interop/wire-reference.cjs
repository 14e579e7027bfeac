// Runs socket.io 0.6.18 or 0.9.19 from npm, with an application that does what WireHandler in app.py does.
//
//     node wire-reference.cjs 0.6|0.9
//
// Prints "READY <port> <port of the Flash policy>", and ends when its standard input does.

"use strict";

const events = require("events");
const http = require("http");
const net = require("net");

process.stdin.on("end", () => process.exit()).resume();    // wire.mjs has ended

const RESOURCE = "wire";
const PAGE = "good.example:*";    // the only allowed origin

const server = http.createServer((request, response) => {
  response.writeHead(404);
  response.end();
});

// -- What Node of 2011 had ----------------------------------------------------------------

process.EventEmitter = events.EventEmitter;    // both versions look for it there
server.on("upgrade", (_request, socket) => delete socket.setEncoding);    // Node's own throws once a socket is upgraded

// 0.6 listens for Flash on port 843, without an option for another.
const { listen } = net.Server.prototype;
let policyServer;
net.Server.prototype.listen = function listenAnywhere(port, ...rest) {
  policyServer = port === 843 ? this : policyServer;
  return listen.call(this, port === 843 ? 0 : port, ...rest);
};

// -- The applications ---------------------------------------------------------------------

// 0.6 has nothing but messages. The timers are those of WireHandler.
function serve06() {
  const endless = ["websocket", "flashsocket", "htmlfile", "xhr-multipart"];
  const polling = ["xhr-polling", "jsonp-polling"];
  const listener = require("server-0.6.18").listen(server, {
    resource: RESOURCE,
    origins: [PAGE],
    log: null,
    transportOptions: {
      ...Object.fromEntries(endless.map((name) => [name, { heartbeatInterval: 5000 }])),
      ...Object.fromEntries(polling.map((name) => [name, { duration: 3000 }])),
    },
  });
  listener.on("connection", (client) => {
    client.on("message", (message) => {
      client.send(message);
      if (message === "twice") {
        client.send(message);
      }
    });
  });
}

function serve09() {
  const manager = require("server-0.9.19").listen(server, {
    "resource": `/${RESOURCE}`,
    "origins": [PAGE],
    "log": false,
    "transports": ["websocket", "flashsocket", "htmlfile", "xhr-polling", "jsonp-polling"],
    "heartbeat interval": 5,
    "polling duration": 3,
    "flash policy port": 0,
  });
  manager.sockets.on("connection", perform);
  manager.of("/chat").on("connection", perform);
  manager.of("/closed").authorization((_, decide) => decide(null, false)).on("connection", perform);
  return manager;
}

function perform(socket) {
  socket.on("message", (message) => (typeof message === "string" ? socket : socket.json).send(message));
  socket.on("echo", (...args) => socket.emit("echo", ...args.filter((value) => typeof value !== "function")));
  socket.on("twice", (value) => [1, 2].forEach(() => socket.emit("echo", value)));
  socket.on("ask", (...args) => args.pop()(...args));
  socket.on("question me", (value) => socket.emit("question", value, (answer) => socket.emit("answered", answer)));
  socket.on("kick", () => socket.disconnect());
}

const manager = { "0.6": serve06, "0.9": serve09 }[process.argv[2]]();
server.listen(0, "127.0.0.1", () => {
  policyServer ??= manager.flashPolicyServer.socket;
  console.log(`READY ${server.address().port} ${policyServer.address().port}`);
});
