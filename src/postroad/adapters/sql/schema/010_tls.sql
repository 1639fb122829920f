-- Policies that were fetched (MTA-STS), and how sessions went by day (TLS results). `key` is a digest of all that the
-- sessions of a row have in common: it may be long.

CREATE TABLE sts_policy (
  domain TEXT PRIMARY KEY, id TEXT NOT NULL, text TEXT NOT NULL, fetched ${int} NOT NULL, expires ${int} NOT NULL
)${clustered};

CREATE TABLE tls_result (
  day TEXT NOT NULL, key TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, policy_text TEXT NOT NULL,
  result TEXT NOT NULL, host TEXT NOT NULL, address TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL,
  sessions ${int} NOT NULL, PRIMARY KEY (day, key)
)${clustered};
CREATE INDEX tls_result_domain ON tls_result (domain, day);
