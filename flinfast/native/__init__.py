"""Compiled data plane: frames, masking, connections, rooms."""

import os

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if os.path.exists(f"{_ROOT}/csrc"):  # this is a source folder, where modules may be out of date
    from flinfast.native import built

    built.check(_ROOT)
