"""The Postmark-compatible API, at the root of the listener: one module for each resource.

`app` routes and knows who asks; `request` and `checks` read a message as loosely as Postmark's clients write it;
`outbox` makes messages ours; `errors` has every code and its text.
"""
