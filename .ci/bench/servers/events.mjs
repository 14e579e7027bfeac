// What every server here does: `echo` and `aecho` come back, `all` goes to everybody.
export function serve(io) {
  io.on("connection", (socket) => {
    socket.on("echo", (...args) => socket.emit("echo", ...args));
    socket.on("aecho", async (...args) => socket.emit("aecho", ...args));
    socket.on("all", (...args) => io.emit("all", ...args));
  });
}
