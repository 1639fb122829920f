"""SASL exchanges, the server's side (RFC 4422): PLAIN, LOGIN, SCRAM with channel binding, OAUTHBEARER and XOAUTH2,
EXTERNAL. `mechanisms` is the table of them all."""
