"""What we tell people about their mail: the ledger, DNS findings, and later DMARC figures."""
