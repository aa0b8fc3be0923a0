// Peer: Node's ws; the room is a loop over its clients.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const room = new Set();
const http = createServer((request, response) => {
  response.setHeader("Content-Type", "application/json");
  response.end('{"message":"Hello, World!"}');
});
const wss = new WebSocketServer({ server: http, perMessageDeflate: false, maxPayload: 1 << 25 });
wss.on("connection", (socket, request) => {
  if (request.url === "/room") {
    room.add(socket);
    socket.on("close", () => room.delete(socket));
    socket.on("message", (data, binary) => {
      for (const member of room) member.send(data, { binary });
    });
  } else {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
  }
  socket.on("error", () => socket.terminate());
});
http.listen(Number(process.argv[2]), "127.0.0.1");
