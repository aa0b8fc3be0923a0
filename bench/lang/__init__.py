"""Programs in FLIN (`programs.flin`) and the same logic in Python (`programs.py`)."""
