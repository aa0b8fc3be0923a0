// Starts `flinfast lsp` for .flin files. Plain JavaScript: what is here is what runs.
"use strict";

const fs = require("fs");
const path = require("path");
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

/** @type {LanguageClient | undefined} */
let client;

/** Command line of the server: the setting, the workspace's own environment, or the search path. */
function serverCommand(configured, folders, exists, platform) {
  if (configured.length > 0) {
    return configured;
  }
  const inside = platform === "win32" ? ["Scripts", "flinfast.exe"] : ["bin", "flinfast"];
  for (const folder of folders) {
    for (const environment of [".venv", "venv"]) {
      const candidate = path.join(folder, environment, ...inside);
      if (exists(candidate)) {
        return [candidate, "lsp"];
      }
    }
  }
  return ["flinfast", "lsp"];
}

async function start() {
  const settings = vscode.workspace.getConfiguration("flin");
  const folders = (vscode.workspace.workspaceFolders || []).map((folder) => folder.uri.fsPath);
  // The setting of an untrusted folder must not choose what is run.
  const configured = vscode.workspace.isTrusted ? settings.get("server.command", []) : [];
  const trusted = vscode.workspace.isTrusted ? folders : [];
  const [command, ...args] = serverCommand(configured, trusted, fs.existsSync, process.platform);
  client = new LanguageClient(
    "flin",
    "FLIN",
    { command, args },
    {
      documentSelector: [{ language: "flin" }],
      synchronize: { configurationSection: "flin" },
    },
  );
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const answer = await vscode.window.showErrorMessage(
      `FLIN: cannot start \`${[command, ...args].join(" ")}\` (${error.message}). ` +
        "Install it with: pip install 'flinfast[lsp]'",
      "Open Settings",
    );
    if (answer) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "flin.server");
    }
  }
}

async function stop() {
  const running = client;
  client = undefined;
  if (running) {
    await running.stop();
  }
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand("flin.restartServer", async () => {
      await stop();
      await start();
    }),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (event.affectsConfiguration("flin.server")) {
        await stop();
        await start();
      }
    }),
  );
  await start();
}

module.exports = { activate, deactivate: stop, serverCommand };
