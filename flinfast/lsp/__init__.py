"""The language server: what `flinfast lsp` tells an editor about a project while it is typed.

`server` speaks the protocol, by pygls; everything else here takes texts and offsets, and is tested
without it. Diagnostics are those of `flinfast check`, with unsaved texts in place of the files.
"""
