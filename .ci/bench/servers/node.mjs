// Node's own server. node.mjs PORT [cluster=PATH]: of the Redis by which several servers are one
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";
import { serve } from "./events.mjs";

const [port, cluster] = process.argv.slice(2);
const options = {};
if (cluster) {
  const connect = () => createClient({ socket: { path: cluster.replace("cluster=", "") } }).connect();
  options.adapter = createAdapter(await connect(), await connect());
}
const http = createServer((request, response) => response.end("a page"));
serve(new Server(http, options));
http.listen(Number(port), "127.0.0.1");
