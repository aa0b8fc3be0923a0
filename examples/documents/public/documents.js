// An editor for app/api/documents/[id]/live.flin.
//
// `shadow` is the text as the server has it: every broadcast edit is applied to it in order, so all
// pages agree. Local typing is sent one patch at a time; the server's echo of it moves `shadow` on.
"use strict";

const $ = (selector) => document.querySelector(selector);
const editor = $("#editor");
const status = $("#status");
const people = new Map(); // name -> cursor position in code points, or null

let me = "";
let socket = null;
let shadow = "";
let sent = null; // the patch whose echo we wait for

function hue(name) {
  let sum = 0;
  for (const point of name) sum = (sum * 31 + point.codePointAt(0)) % 360;
  return `hsl(${sum} 60% 40%)`;
}

function render() {
  $("#people").replaceChildren(...[...people.keys()].map((name) => {
    const item = document.createElement("li");
    item.textContent = name;
    item.style.setProperty("--hue", hue(name));
    return item;
  }));
  const points = Array.from(editor.value);
  const marks = [...people].filter(([name, at]) => name !== me && at !== null).sort((a, b) => a[1] - b[1]);
  const layer = $("#cursors");
  layer.replaceChildren();
  let from = 0;
  for (const [name, at] of marks) {
    const to = Math.min(at, points.length);
    layer.append(points.slice(from, to).join(""));
    const mark = document.createElement("i");
    mark.dataset.name = name;
    mark.style.setProperty("--hue", hue(name));
    layer.append(mark);
    from = to;
  }
  layer.append(points.slice(from).join(""));
  layer.scrollTop = editor.scrollTop;
}

const toPoints = (text, units) => Array.from(text.slice(0, units)).length;
const toUnits = (text, points) => Array.from(text).slice(0, points).join("").length;

function setText(text, patch) {
  const [start, end] = [editor.selectionStart, editor.selectionEnd].map((at) => shift(toPoints(editor.value, at), patch));
  editor.value = text;
  editor.setSelectionRange(toUnits(text, start), toUnits(text, end));
}

function push() {
  if (sent || editor.value === shadow || socket.readyState !== WebSocket.OPEN) return;
  sent = diff(shadow, editor.value);
  socket.send(JSON.stringify({ type: "edit", patch: sent }));
}

function onEdit(message) {
  const { patch, user } = message;
  const mine = sent !== null && user === me && JSON.stringify(patch) === JSON.stringify(sent);
  // What was typed here and is not in the shadow yet, to be kept on top of what arrives.
  const local = editor.value === shadow ? null : diff(shadow, editor.value);
  shadow = applyPatch(shadow, patch);
  if (mine) {
    sent = null;
  } else {
    const text = local === null ? shadow : applyPatch(shadow, rebase(local, patch));
    setText(text, patch);
    for (const [name, at] of people) if (at !== null) people.set(name, shift(at, patch));
    people.set(user, patch.start + Array.from(patch.insert).length);
  }
  status.textContent = `version ${message.version}`;
  push();
}

const handlers = {
  init(message) {
    shadow = message.content;
    sent = null;
    editor.value = shadow;
    editor.disabled = false;
    status.textContent = `version ${message.version}`;
    status.className = "open";
    for (const name of message.people ?? []) if (!people.has(name)) people.set(name, null);
  },
  error(message) {
    sent = null;
    editor.value = shadow;
    status.textContent = message.error;
  },
  edit: onEdit,
  cursor(message) { people.set(message.user, message.position); },
  user_joined(message) {
    if (!people.has(message.user)) people.set(message.user, null);
    // Tell the newcomer where we are.
    if (message.user !== me) sendCursor();
  },
  user_left(message) { people.delete(message.user); },
};

function sendCursor() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type: "cursor", position: toPoints(editor.value, editor.selectionStart) }));
}

function open(id, title) {
  $("#shelf").hidden = true;
  $("#desk").hidden = false;
  $("#title").textContent = title;
  history.replaceState(null, "", `#${id}`);
  editor.disabled = true;
  let attempt = 0;
  const connect = () => {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}/api/documents/${id}/live`);
    socket.onopen = () => { attempt = 0; people.clear(); };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      handlers[message.type]?.(message);
      render();
    };
    socket.onclose = (event) => {
      editor.disabled = true;
      status.className = "";
      status.textContent = event.reason || "reconnecting";
      if (!event.reason) setTimeout(connect, Math.random() * Math.min(10000, 500 * 2 ** attempt++));
    };
  };
  connect();
}

editor.addEventListener("input", () => { push(); render(); });
editor.addEventListener("scroll", render);
document.addEventListener("selectionchange", () => { if (document.activeElement === editor) sendCursor(); });

async function post(path, value) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
  const body = await answer.json();
  if (!answer.ok) status.textContent = body.error;
  return answer.ok ? body : null;
}

async function enter(name) {
  me = name;
  $("#login").hidden = true;
  const documents = await (await fetch("/api/documents")).json();
  const wanted = documents.find((doc) => `#${doc.id}` === location.hash);
  if (wanted) { open(wanted.id, wanted.title); return; }
  $("#shelf").hidden = false;
  $("#list").replaceChildren(...documents.map((doc) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `#${doc.id}`;
    link.textContent = doc.title;
    link.onclick = (event) => { event.preventDefault(); open(doc.id, doc.title); };
    item.append(link);
    return item;
  }));
}

$("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const user = await post("/api/login", { name: event.target.elements.name.value });
  if (user) enter(user.name);
});

$("#create").addEventListener("submit", async (event) => {
  event.preventDefault();
  const doc = await post("/api/documents", { title: event.target.elements.title.value });
  if (doc) open(doc.id, doc.title);
});

fetch("/api/login").then((answer) => answer.json()).then((user) => { if (user.name) enter(user.name); });
