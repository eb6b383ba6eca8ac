"""The HTTP routes: thin; each turns an exchange into a submission or a read."""
