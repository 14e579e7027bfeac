// The same server on Bun's engine. bun.mjs PORT
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { serve } from "./events.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
serve(io);
const { fetch, ...handler } = engine.handler();
Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  idleTimeout: 30,
  ...handler,
  fetch: (request, server) => (request.url.endsWith("/page") ? new Response("a page") : fetch(request, server)),
});
