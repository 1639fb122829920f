"""What a process is told by file and environment: the declared settings, their loading, their reference page."""
