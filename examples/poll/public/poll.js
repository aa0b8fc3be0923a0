"use strict";

// The poll in the address, `/?poll=3`; without one the form asks for a new poll.
const id = new URLSearchParams(location.search).get("poll");
const element = (name) => document.getElementById(name);

async function send(path, body) {
    const answer = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
    });
    const value = await answer.json();
    const faults = Object.entries(value.fields ?? {}).map(([name, text]) => `${name} ${text}`);
    element("state").textContent = answer.ok ? "" : faults.join(", ") || value.error;
    return answer.ok ? value : null;
}

function show(poll) {
    element("question").textContent = poll.question;
    const rows = poll.results.map((row, choice) => {
        const button = document.createElement("button");
        button.textContent = `${row.option}: ${row.votes} of ${poll.total}`;
        button.disabled = !poll.open;
        button.onclick = () => send(`/api/polls/${id}`, { choice });
        const item = document.createElement("li");
        item.append(button);
        return item;
    });
    element("results").replaceChildren(...rows);
}

function connect() {
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/polls/${id}`);
    socket.onmessage = (event) => show(JSON.parse(event.data));
    socket.onclose = (event) => {
        if (event.code === 4404) element("state").textContent = event.reason;
        else setTimeout(connect, 1000 + 2000 * Math.random());
    };
}

element("new").hidden = id !== null;
element("new").onsubmit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const options = form.get("options").split("\n").map((line) => line.trim()).filter(Boolean);
    const poll = await send("/api/polls", { question: form.get("question"), options });
    if (poll) location.search = `?poll=${poll.id}`;
};
if (id) connect();
