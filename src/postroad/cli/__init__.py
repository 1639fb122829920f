"""The command line: `postroad NOUN VERB`, one module per command."""
