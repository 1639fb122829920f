"""Tenants: domains, mailbox owners, aliases, sending projects, administrators, their secrets, and who changed what.

`domains`, `accounts` and `aliases` hold plain transaction functions, which `administration` runs; `sending` and
`admins` manage sending projects and administrators. `passwords` makes and checks secrets; `credentials`, `tokens` and
`sessions` answer logins, `logins` slows guessing. `audit` writes each change down.
"""
