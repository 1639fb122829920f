"""What can happen to mail, and its recording as rows in the caller's transaction."""
