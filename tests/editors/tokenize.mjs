// Tokens of FLIN texts as VS Code makes them: JSON {name: text} on standard input, on standard
// output {name: [[start, end, scope, ...], ...]}, offsets in UTF-16 code units of the whole text.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [grammarPath, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "package.json"));
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const wasm = readFileSync(join(modules, "vscode-oniguruma", "release", "onig.wasm"));
await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
const registry = new textmate.Registry({
  onigLib: Promise.resolve({
    createOnigScanner: (sources) => new oniguruma.OnigScanner(sources),
    createOnigString: (text) => new oniguruma.OnigString(text),
  }),
  loadGrammar: async () =>
    textmate.parseRawGrammar(readFileSync(grammarPath, "utf8"), "flin.tmLanguage.json"),
});
const grammar = await registry.loadGrammar("source.flin");

const found = {};
for (const [name, text] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const tokens = [];
  let state = textmate.INITIAL;
  let offset = 0;
  for (const line of text.split("\n")) {
    const result = grammar.tokenizeLine(line, state);
    for (const token of result.tokens) {
      tokens.push([offset + token.startIndex, offset + token.endIndex, ...token.scopes]);
    }
    state = result.ruleStack;
    offset += line.length + 1;
  }
  found[name] = tokens;
}
process.stdout.write(JSON.stringify(found));
