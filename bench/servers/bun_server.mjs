// Peer: Bun's built-in server; the room is its native publish and subscribe.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (pathname === "/hello") return Response.json({ message: "Hello, World!" });
    if (server.upgrade(request, { data: { room: pathname === "/room" } })) return;
    return new Response("not found", { status: 404 });
  },
  websocket: {
    perMessageDeflate: false,
    maxPayloadLength: 1 << 25,
    backpressureLimit: 64 << 20,
    open(ws) {
      if (ws.data.room) ws.subscribe("room");
    },
    message(ws, message) {
      // The server publishes to every member; a socket would leave its own out.
      if (ws.data.room) server.publish("room", message);
      else ws.send(message);
    },
  },
});
