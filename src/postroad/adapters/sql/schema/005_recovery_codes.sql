-- Codes that stand in for a second factor that is lost, once each; like tokens, kept as SHA-256 alone.

CREATE TABLE recovery_code (admin ${int} NOT NULL, digest ${bytes} NOT NULL, PRIMARY KEY (admin, digest));
