"""The one place that knows what every word of FLIN means; `flinfast docs` and editors print it."""
