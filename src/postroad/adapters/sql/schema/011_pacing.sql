-- Who takes the mail of a destination, for summaries and choices; what is held, by destination; and the queue over time.

ALTER TABLE dest ADD COLUMN provider TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_held ON delivery (dest) WHERE state = 'held';
CREATE TABLE queue_sample (
  at ${int} PRIMARY KEY, queued ${int} NOT NULL, held ${int} NOT NULL, oldest ${int}
);
