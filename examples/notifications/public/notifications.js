// A page for app/api/notifications.flin: unread ones over HTTP, new ones over the socket.
"use strict";

const list = document.querySelector("#list");
const status = document.querySelector("#status");
const notify = document.querySelector("#notify");
let socket = null;
let attempt = 0;

function show(notification) {
  if (document.getElementById(`n${notification.id}`)) return;
  const item = document.createElement("li");
  item.id = `n${notification.id}`;
  item.append(notification.message);
  const done = document.createElement("button");
  done.textContent = "Mark read";
  done.onclick = () => {
    socket.send(JSON.stringify({ type: "mark_read", id: notification.id }));
    item.remove();
  };
  item.append(done);
  list.prepend(item);
}

async function load() {
  const unread = await fetch("/api/notifications");
  if (unread.ok) (await unread.json()).reverse().forEach(show);
}

async function people() {
  const users = await (await fetch("/api/users")).json();
  notify.elements.user_id.replaceChildren(...users.map((user) => new Option(user.name, user.id)));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(`${scheme}//${location.host}/api/notifications`);
  socket.onopen = () => { attempt = 0; status.textContent = "connected"; status.className = "open"; load(); };
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.type === "notification") show(message.data);
  };
  socket.onclose = () => {
    status.textContent = "reconnecting";
    status.className = "";
    setTimeout(connect, Math.random() * Math.min(10000, 500 * 2 ** attempt++));
  };
}

function enter() {
  document.querySelector("#login").hidden = true;
  document.querySelector("#inbox").hidden = false;
  people();
  connect();
}

function post(path, value) {
  return fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
}

document.querySelector("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await post("/api/login", { name: event.target.elements.name.value });
  if (answer.ok) enter();
  else status.textContent = (await answer.json()).error;
});

notify.addEventListener("focusin", people, { once: true });
notify.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { user_id, message } = notify.elements;
  const answer = await post("/api/notifications", { user_id: Number(user_id.value), message: message.value });
  if (answer.ok) message.value = "";
  else status.textContent = (await answer.json()).error;
});

fetch("/api/login").then((answer) => answer.json()).then((me) => { if (me.name) enter(); });
