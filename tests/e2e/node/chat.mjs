// Chats with a flinfast server through Node's ws; prints what it saw as one JSON line.
import { once } from "node:events";
import WebSocket from "ws";

const port = process.argv[2];
const base = `127.0.0.1:${port}`;

const login = await fetch(`http://${base}/api/login`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ name: "node" }),
});
const cookie = login.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");

const refused = await new Promise((resolve) => {
  const socket = new WebSocket(`ws://${base}/api/chat`);
  socket.on("unexpected-response", (request, response) => {
    resolve(response.statusCode);
    request.destroy();
  });
  socket.on("open", () => resolve(101));
  socket.on("error", () => {});
});

const socket = new WebSocket(`ws://${base}/api/chat`, { headers: { cookie } });
const queue = [];
let wake = () => {};
socket.on("message", (data) => { queue.push(data.toString()); wake(); });
const next = async () => {
  while (queue.length === 0) await new Promise((resolve) => { wake = resolve; });
  return queue.shift();
};
await once(socket, "open");
const first = await next();
socket.send(JSON.stringify({ text: "hello" }));
const text = JSON.parse(await next()).text;
// 4,000 characters is the entity's limit, so room for a long one comes from the room name.
socket.send(JSON.stringify({ text: "x", room: "general", padding: "y".repeat(60000) }));
const big = JSON.parse(await next()).text === "x" ? 60000 : 0;
socket.ping("are you there");
const [pong] = await once(socket, "pong");
socket.close(1000, "bye");
const [code] = await once(socket, "close");
console.log(JSON.stringify({ first, text, big, ponged: pong.toString() === "are you there", code, refused }));
