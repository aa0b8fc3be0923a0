"""Throughput of flinfast beside its peers and a C ceiling; see README.md in this folder."""
