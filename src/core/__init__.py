"""The domain: commands, requests, execution, audit."""
