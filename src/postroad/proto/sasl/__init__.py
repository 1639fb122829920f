"""SASL exchanges (RFC 4422), server and client side: PLAIN, LOGIN; SCRAM and OAUTHBEARER will join them."""
