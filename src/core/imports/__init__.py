"""Imports: files of a million rows that become requests in the bulk lane, streamed both ways."""
