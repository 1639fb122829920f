"""Who has mail here and who may send: domains, mailbox owners, credentials, and later servers, streams, tokens."""
