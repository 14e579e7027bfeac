// Node's own server. node.mjs PORT [cluster=PATH] [workers=N]
//
// PATH is the Unix socket of the Redis by which several servers are one. Of several workers, the first process shares
// the connections out by the session that their first request names, as @socket.io/sticky does.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { createAdapter as createWorkersAdapter, setupPrimary } from "@socket.io/cluster-adapter";
import { createAdapter } from "@socket.io/redis-adapter";
import { setupMaster, setupWorker } from "@socket.io/sticky";
import { createClient } from "redis";
import { Server } from "socket.io";
import { serve } from "./events.mjs";

const [port, ...more] = process.argv.slice(2);
const given = Object.fromEntries(more.map((option) => option.split("=")));
const http = createServer((request, response) => response.end("a page"));

if (!given.workers) {
  const options = {};
  if (given.cluster) {
    const connect = () => createClient({ socket: { path: given.cluster } }).connect();
    options.adapter = createAdapter(await connect(), await connect());
  }
  serve(new Server(http, options));
  http.listen(Number(port), "127.0.0.1");
} else if (cluster.isPrimary) {
  setupMaster(http, { loadBalancingMethod: "least-connection" });
  setupPrimary();
  cluster.setupPrimary({ serialization: "advanced" });    // sticky sends bytes
  const workers = Array.from({ length: Number(given.workers) }, () => cluster.fork());
  await Promise.all(workers.map((worker) => new Promise((resolve) => { worker.once("message", resolve); })));
  http.listen(Number(port), "127.0.0.1");
} else {
  const io = new Server(http, { adapter: createWorkersAdapter() });
  setupWorker(io);
  serve(io);
  process.send({ type: "ready" });
}
