"""HTTP front ends (ASGI): the Postmark-compatible API, our own API, the console, well-known resources."""
