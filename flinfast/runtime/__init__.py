"""What runs FLIN programs: routing, guards, sessions, validation, builtins."""
