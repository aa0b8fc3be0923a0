// Loaded by pages of `flinfast dev` only: reloads them, and shows what is wrong with the program.
(() => {
  "use strict";
  const SOCKET = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${new URL(document.currentScript.src).pathname.replace(/live\.js$/, "live")}`;
  const RETRY_MIN_MS = 100, RETRY_MAX_MS = 2000;
  let known = null, retry = RETRY_MIN_MS, overlay = null;

  const style = (element, rules) => Object.assign(element.style, rules);

  function hide() {
    if (overlay) overlay.remove();
    overlay = null;
  }

  function show(fault) {
    hide();
    overlay = document.createElement("div");
    overlay.id = "flinfast-fault";
    overlay.setAttribute("role", "alert");
    style(overlay, {
      position: "fixed", inset: "0", zIndex: "2147483647", overflow: "auto", padding: "2rem",
      background: "rgba(20, 20, 28, .94)", color: "#f4f4f5",
    });
    const title = document.createElement("strong");
    title.textContent = "This program has faults; the last good one serves on.";
    style(title, { font: "600 1.1rem system-ui, sans-serif" });
    const text = document.createElement("pre");
    text.textContent = fault;
    style(text, { font: "14px/1.45 ui-monospace, monospace", whiteSpace: "pre-wrap" });
    overlay.append(title, text);
    document.documentElement.append(overlay);
  }

  function restyle() {
    for (const link of document.querySelectorAll('link[rel~="stylesheet"][href]')) {
      const url = new URL(link.href);
      if (url.origin !== location.origin) continue;
      url.searchParams.set("flinfast-live", Date.now());
      link.href = url.href;
    }
  }

  function receive({ run, version, fault, change }) {
    const isStale = known && (known.run !== run || known.version !== version);
    known = { run, version };
    if (fault) return show(fault);
    hide();
    if (change === "styles") return restyle();
    if (isStale) location.reload();
  }

  function connect() {
    const socket = new WebSocket(SOCKET);
    socket.onmessage = (event) => {
      retry = RETRY_MIN_MS;
      receive(JSON.parse(event.data));
    };
    socket.onclose = () => {
      setTimeout(connect, retry);
      retry = Math.min(retry * 2, RETRY_MAX_MS);
    };
  }

  connect();
})();
