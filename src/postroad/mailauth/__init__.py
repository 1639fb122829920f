"""SPF, DKIM, ARC, DMARC, MTA-STS, DANE and TLSRPT, one module per RFC. Pure but for the DNS port."""
