-- A message's attempts are found by its deliveries: one b-tree fewer to write for each attempt.

DROP INDEX attempt_message;
ALTER TABLE delivery_attempt RENAME TO delivery_attempt_before;
CREATE TABLE delivery_attempt (
  delivery ${int} NOT NULL, attempt ${int} NOT NULL, status TEXT, PRIMARY KEY (delivery, attempt)
)${clustered};
INSERT INTO delivery_attempt (delivery, attempt, status) SELECT delivery, attempt, status FROM delivery_attempt_before;
DROP TABLE delivery_attempt_before;
