"""The global functions of FLIN, one module per area."""
