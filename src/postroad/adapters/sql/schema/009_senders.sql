-- Who may send as whom beside what is theirs by the rules, who is held back, and how much each has sent.

ALTER TABLE message ADD COLUMN token ${int};
CREATE TABLE send_as (
  account ${int} NOT NULL, address TEXT NOT NULL, PRIMARY KEY (account, address)
)${clustered};
CREATE TABLE sender_hold (
  kind TEXT NOT NULL, subject ${int} NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, since ${int} NOT NULL,
  actor TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (kind, subject, stream)
)${clustered};
CREATE TABLE sender_count (
  node TEXT NOT NULL, kind TEXT NOT NULL, subject ${int} NOT NULL, at ${int} NOT NULL, counts ${bytes} NOT NULL,
  PRIMARY KEY (node, kind, subject)
)${clustered};
