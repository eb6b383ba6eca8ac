"""Activities: what was done about a contact, a company, a deal, a ticket or a task."""
