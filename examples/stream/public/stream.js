// A page for app/api/stream.flin: binary messages are stored and acknowledged, texts are relayed.
"use strict";

const status = document.querySelector("#status");
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const socket = new WebSocket(`${scheme}//${location.host}/api/stream`);
socket.binaryType = "arraybuffer";

function log(line) {
  const item = document.createElement("li");
  item.textContent = line;
  document.querySelector("#log").append(item);
}

socket.onopen = () => { status.textContent = "connected"; status.className = "open"; };
socket.onclose = (event) => { status.textContent = `closed (${event.code})`; status.className = ""; };
socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === "ack") log(`stored ${message.size} bytes as ${message.path}`);
  if (message.type === "text") log(message.text);
};

document.querySelector("#upload").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = document.querySelector("#file").files[0];
  if (file) socket.send(await file.arrayBuffer());
});

document.querySelector("#say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.querySelector("#text");
  socket.send(JSON.stringify({ text: text.value }));
  text.value = "";
});
