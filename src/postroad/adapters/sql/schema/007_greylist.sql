-- Who was asked to come again. A row without sender and recipient is what was learned of a network.

CREATE TABLE greylist (
  network TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, first ${int} NOT NULL, last ${int} NOT NULL,
  passes ${int} NOT NULL, expires ${int} NOT NULL, PRIMARY KEY (network, sender, recipient)
)${clustered};
CREATE INDEX greylist_expires ON greylist (expires);
