"""HTTP and MCP front end: accepts commands, answers reads."""
