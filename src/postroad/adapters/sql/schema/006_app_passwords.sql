-- Passwords of an account that the server made, for one program each. Random, so that SHA-256 is enough; `scram` lets
-- programs use them by SCRAM.

CREATE TABLE app_password (
  id ${key}, account ${int} NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, created ${int} NOT NULL,
  last_used ${int}, digest ${bytes} NOT NULL UNIQUE, scram ${bytes} NOT NULL
);
CREATE INDEX app_password_account ON app_password (account);
