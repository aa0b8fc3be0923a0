"""The FLIN language: text in, diagnostics and Python closures out."""
