"""Compiled data plane: frames, masking, connections, rooms."""
