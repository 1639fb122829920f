-- Sending projects, administrators, the audit log. `message` gets no index: its rows are written on the hottest path.

ALTER TABLE message ADD COLUMN server ${int};
ALTER TABLE message ADD COLUMN stream TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN tag TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN metadata TEXT NOT NULL DEFAULT '';

-- `folded` is what names are compared by.
CREATE TABLE server (
  id ${key}, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, created ${int} NOT NULL, color TEXT NOT NULL,
  sandbox ${int} NOT NULL
);

CREATE TABLE stream (
  server ${int} NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, created ${int} NOT NULL,
  updated ${int} NOT NULL, description TEXT NOT NULL, archived ${int}, PRIMARY KEY (server, id)
);

-- Secrets are kept as SHA-256 alone: they are random, so that nothing slower would make them safer.
CREATE TABLE token (
  id ${key}, kind TEXT NOT NULL, name TEXT NOT NULL, hint TEXT NOT NULL, created ${int} NOT NULL, server ${int},
  scopes TEXT NOT NULL, last_used ${int}, revoked ${int}, digest ${bytes} NOT NULL UNIQUE
);
CREATE INDEX token_server ON token (server);

CREATE TABLE suppression (
  server ${int} NOT NULL, stream TEXT NOT NULL, address TEXT NOT NULL, reason TEXT NOT NULL, origin TEXT NOT NULL,
  created ${int} NOT NULL, PRIMARY KEY (server, stream, address)
);

CREATE TABLE idempotency (
  server ${int} NOT NULL, key TEXT NOT NULL, digest ${bytes} NOT NULL, status ${int} NOT NULL, answer ${bytes} NOT NULL,
  expires ${int} NOT NULL, PRIMARY KEY (server, key)
);
CREATE INDEX idempotency_expires ON idempotency (expires);

CREATE TABLE admin (
  id ${key}, email TEXT NOT NULL UNIQUE, created ${int} NOT NULL, name TEXT NOT NULL, password_hash TEXT NOT NULL,
  credential_version ${int} NOT NULL, totp_secret TEXT NOT NULL, totp_pending TEXT NOT NULL,
  totp_counter ${int} NOT NULL, last_login ${int}
);

CREATE TABLE passkey (
  credential ${bytes} PRIMARY KEY, admin ${int} NOT NULL, public_key ${bytes} NOT NULL, sign_count ${int} NOT NULL,
  name TEXT NOT NULL, created ${int} NOT NULL, transports TEXT NOT NULL, last_used ${int}
);
CREATE INDEX passkey_admin ON passkey (admin);

CREATE TABLE admin_session (
  id ${key}, admin ${int} NOT NULL, created ${int} NOT NULL, seen ${int} NOT NULL, method TEXT NOT NULL,
  client TEXT NOT NULL, user_agent TEXT NOT NULL, digest ${bytes} NOT NULL UNIQUE
);
CREATE INDEX admin_session_admin ON admin_session (admin);

CREATE TABLE login_link (digest ${bytes} PRIMARY KEY, admin ${int} NOT NULL, expires ${int} NOT NULL);

CREATE TABLE login_failure (
  subject TEXT PRIMARY KEY, failures ${int} NOT NULL, last ${int} NOT NULL, until ${int} NOT NULL
);

CREATE TABLE audit (
  id ${key}, at ${int} NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, client TEXT NOT NULL, action TEXT NOT NULL,
  target TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
