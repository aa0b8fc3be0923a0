"""Parts of the formatter; `flinfast.lang.format` is its entry."""
