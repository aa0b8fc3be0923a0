// A page for app/api/chat.flin: log in, open the socket, show what arrives, reconnect when it drops.
"use strict";

const login = document.querySelector("#login");
const room = document.querySelector("#room");
const list = document.querySelector("#messages");
const status = document.querySelector("#status");
const text = document.querySelector("#text");

let me = "";
let socket = null;
let attempt = 0;

function show(message) {
  const item = document.createElement("li");
  if (typeof message === "string") {
    item.className = "system";
    item.textContent = message;
  } else {
    const who = document.createElement("b");
    who.textContent = message.user;
    if (message.user === me) item.className = "mine";
    const when = document.createElement("time");
    when.dateTime = message.time;
    when.textContent = new Date(message.time).toLocaleTimeString();
    item.append(who, message.text, when);
  }
  list.append(item);
  list.scrollTop = list.scrollHeight;
}

function read(data) {
  // Texts arrive as they are, everything else as JSON.
  try { return JSON.parse(data); } catch { return data; }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/api/chat`);
  socket.onopen = () => {
    attempt = 0;
    status.textContent = "connected";
    status.className = "open";
  };
  socket.onmessage = (event) => show(read(event.data));
  socket.onclose = () => {
    status.className = "";
    const wait = Math.random() * Math.min(10000, 500 * 2 ** attempt++);
    status.textContent = "reconnecting";
    setTimeout(connect, wait);
  };
}

async function enter(name) {
  me = name;
  login.hidden = true;
  room.hidden = false;
  const earlier = await fetch("/api/messages");
  if (earlier.ok) (await earlier.json()).reverse().forEach(show);
  connect();
  text.focus();
}

login.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch("/api/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: document.querySelector("#name").value }),
  });
  const body = await answer.json();
  if (answer.ok) enter(body.name);
  else status.textContent = body.error;
});

document.querySelector("#send").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket || socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ text: text.value }));
  text.value = "";
});

fetch("/api/login").then((answer) => answer.json()).then(({ name }) => { if (name) enter(name); });
