// Runs the extension with stand-ins for what VS Code provides; prints what it did as JSON.
"use strict";

const Module = require("module");
const [extensionPath, failure] = process.argv.slice(2);
const log = { clients: [], commands: [], messages: [], stopped: 0 };
const listeners = {};

class LanguageClient {
  constructor(id, name, server, options) {
    log.clients.push({ id, name, server, options });
  }
  async start() {
    if (failure) {
      throw new Error(failure);
    }
  }
  async stop() {
    log.stopped += 1;
  }
}
const vscode = {
  workspace: {
    isTrusted: true,
    workspaceFolders: [{ uri: { fsPath: "/nowhere" } }],
    getConfiguration: () => ({ get: (_name, fallback) => fallback }),
    onDidChangeConfiguration: (listener) => {
      listeners.configuration = listener;
      return {};
    },
  },
  commands: {
    registerCommand: (name, run) => {
      log.commands.push(name);
      listeners.restart = run;
      return {};
    },
    executeCommand: async () => {},
  },
  window: { showErrorMessage: async (text) => void log.messages.push(text) },
};
const load = Module._load;
Module._load = (name, ...rest) => {
  if (name === "vscode") return vscode;
  if (name === "vscode-languageclient/node") return { LanguageClient };
  return load(name, ...rest);
};

(async () => {
  const extension = require(extensionPath);
  await extension.activate({ subscriptions: [] });
  if (!failure) {
    await listeners.restart();
    await listeners.configuration({ affectsConfiguration: (name) => name === "flin.server" });
    await extension.deactivate();
  }
  const choose = extension.serverCommand;
  log.choices = [
    choose(["/opt/f", "lsp"], ["/p"], () => true, "linux"),
    choose([], ["/p"], (file) => file.startsWith("/p/.venv"), "linux"),
    choose([], ["/p", "/q"], (file) => file.startsWith("/q/venv"), "win32"),
    choose([], ["/p"], () => false, "linux"),
  ];
  process.stdout.write(JSON.stringify(log));
})();
