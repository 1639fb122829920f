"""Tenants: domains, mailbox owners, aliases, and their passwords.

`domains`, `accounts` and `aliases` hold plain transaction functions; `administration` runs them and tells who listens;
`passwords` makes and checks secrets; `credentials` answers logins.
"""
