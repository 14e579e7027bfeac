// Node's own server. node.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";
import { serve } from "./events.mjs";

const http = createServer((request, response) => response.end("a page"));
serve(new Server(http));
http.listen(Number(process.argv[2]), "127.0.0.1");
