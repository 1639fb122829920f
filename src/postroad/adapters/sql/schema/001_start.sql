-- The first schema. The words behind dollar signs are each engine's own, for types; see migrate.py.
-- Times are microseconds since 1970 in UTC; booleans are 0 and 1; structured values are JSON or msgpack.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE node (
  id ${serial}, name TEXT NOT NULL UNIQUE, lease_until ${int} NOT NULL, epoch ${int} NOT NULL
);

CREATE TABLE domain (
  id ${key}, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, created ${int} NOT NULL,
  relay_host TEXT NOT NULL, relay_port ${int} NOT NULL, target TEXT NOT NULL
);

CREATE TABLE account (
  id ${key}, address TEXT NOT NULL UNIQUE, domain TEXT NOT NULL, created ${int} NOT NULL,
  password_hash TEXT NOT NULL, scram ${bytes} NOT NULL, quota_bytes ${int} NOT NULL, used_bytes ${int} NOT NULL,
  is_admin ${int} NOT NULL, credential_version ${int} NOT NULL, disabled ${int} NOT NULL,
  last_uid_validity ${int} NOT NULL
);
CREATE INDEX account_domain ON account (domain, address);

CREATE TABLE alias (
  address TEXT PRIMARY KEY, domain TEXT NOT NULL, targets TEXT NOT NULL, created ${int} NOT NULL
);
CREATE INDEX alias_domain ON alias (domain, address);

-- Content: where it lies. A segment is a file.
CREATE TABLE segment (id ${serial}, name TEXT NOT NULL UNIQUE);
CREATE TABLE blob (
  id ${key}, segment ${int} NOT NULL, start ${int} NOT NULL, length ${int} NOT NULL
);

CREATE TABLE message (
  id ${key}, created ${int} NOT NULL, origin TEXT NOT NULL, reverse_path TEXT NOT NULL, size ${int} NOT NULL,
  flags ${int} NOT NULL, blob ${int} NOT NULL, header_size ${int} NOT NULL, subject TEXT NOT NULL,
  header_from TEXT NOT NULL, message_id TEXT NOT NULL, body_type TEXT NOT NULL, account ${int}, bounce_of ${int}
);
-- What is accepted lies under its own id: only the exceptions need an index.
CREATE INDEX message_blob ON message (blob) WHERE blob <> id;

-- Next hops. `next_due` is a hint: no unowned delivery is due before it.
CREATE TABLE dest (id ${serial}, name TEXT NOT NULL UNIQUE, next_due ${int});
CREATE INDEX dest_due ON dest (next_due) WHERE next_due IS NOT NULL;

CREATE TABLE delivery (
  id ${key}, message ${int} NOT NULL, dest ${int} NOT NULL, forward_path TEXT NOT NULL, orig TEXT NOT NULL,
  state TEXT NOT NULL, due ${int}, tries ${int} NOT NULL, expires ${int}, last_status TEXT,
  owner ${int}, epoch ${int} NOT NULL, wish TEXT NOT NULL, finished ${int}, held_for TEXT NOT NULL
);
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_due ON delivery (dest, due) WHERE state = 'queued' AND owner IS NULL;
CREATE INDEX delivery_open ON delivery (owner, id) WHERE state IN ('queued', 'held');

CREATE TABLE attempt (
  id ${key}, message ${int} NOT NULL, started ${int} NOT NULL, ended ${int} NOT NULL, host TEXT NOT NULL,
  address TEXT NOT NULL, tls TEXT NOT NULL, timings TEXT NOT NULL, dialogue TEXT NOT NULL
);
CREATE INDEX attempt_message ON attempt (message);
CREATE TABLE delivery_attempt (
  attempt ${int} NOT NULL, delivery ${int} NOT NULL, status TEXT, PRIMARY KEY (attempt, delivery)
)${clustered};

CREATE TABLE event (
  id ${key}, at ${int} NOT NULL, kind TEXT NOT NULL, message ${int}, delivery ${int}, detail TEXT NOT NULL
);
CREATE INDEX event_message ON event (message);
CREATE INDEX event_loose ON event (at) WHERE message IS NULL;

CREATE TABLE refusal (
  id ${serial}, at ${int} NOT NULL, service TEXT NOT NULL, connection TEXT NOT NULL, client TEXT NOT NULL,
  helo TEXT NOT NULL, account TEXT NOT NULL, reverse_path TEXT NOT NULL, recipient TEXT NOT NULL, stage TEXT NOT NULL,
  reply_code ${int} NOT NULL, enhanced TEXT NOT NULL, text TEXT NOT NULL, cause TEXT NOT NULL
);
CREATE INDEX refusal_at ON refusal (at);

-- A deleted mailbox is emptied later, in slices; its name is free at once.
CREATE TABLE mailbox (
  id ${key}, account ${int} NOT NULL, name TEXT NOT NULL, uid_validity ${int} NOT NULL, uid_next ${int} NOT NULL,
  highest_modseq ${int} NOT NULL, special_use TEXT NOT NULL, subscribed ${int} NOT NULL, total ${int} NOT NULL,
  unseen ${int} NOT NULL, size ${int} NOT NULL, deleted ${int} NOT NULL
);
CREATE UNIQUE INDEX mailbox_name ON mailbox (account, name) WHERE deleted = 0;
CREATE INDEX mailbox_deleted ON mailbox (id) WHERE deleted = 1;

CREATE TABLE mailbox_message (
  mailbox ${int} NOT NULL, uid ${int} NOT NULL, blob ${int} NOT NULL, flags ${int} NOT NULL, keywords TEXT NOT NULL,
  modseq ${int} NOT NULL, born ${int} NOT NULL, internal_date ${int} NOT NULL, size ${int} NOT NULL, prefix ${bytes} NOT NULL,
  message ${int}, PRIMARY KEY (mailbox, uid)
)${clustered};
-- `born` is a row's first mod-sequence: it grows with the UID, so that only what changed later needs an index.
CREATE INDEX mailbox_message_modseq ON mailbox_message (mailbox, modseq) WHERE modseq <> born;
CREATE UNIQUE INDEX mailbox_message_once ON mailbox_message (message, mailbox) WHERE message IS NOT NULL;
CREATE INDEX mailbox_message_blob ON mailbox_message (blob) WHERE message IS NULL OR blob <> message;

CREATE TABLE vanished (
  mailbox ${int} NOT NULL, modseq ${int} NOT NULL, uid_low ${int} NOT NULL, uid_high ${int} NOT NULL,
  PRIMARY KEY (mailbox, modseq, uid_low)
)${clustered};

CREATE TABLE content (
  id ${key}, renderer ${int} NOT NULL, size ${int} NOT NULL, header_size ${int} NOT NULL, envelope ${bytes} NOT NULL,
  bodystructure ${bytes} NOT NULL, body ${bytes} NOT NULL, sections ${bytes} NOT NULL, message_id TEXT NOT NULL,
  subject TEXT NOT NULL, sent ${int}
);
