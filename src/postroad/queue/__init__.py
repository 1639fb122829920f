"""Schedule: claim, attempt, record. Also what console and command line see of the queue, and do to it."""
