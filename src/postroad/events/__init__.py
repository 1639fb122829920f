"""What happened to mail: `model` lists what can happen, `recorder` makes the rows, in the caller's transaction."""
