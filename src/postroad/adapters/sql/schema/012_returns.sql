-- Where bounces come back to: the domain of the return addresses of a domain (then without server), or of a stream.

CREATE TABLE return_path (
  domain TEXT NOT NULL, server ${int} NOT NULL, stream TEXT NOT NULL, name TEXT NOT NULL, created ${int} NOT NULL,
  PRIMARY KEY (domain, server, stream)
)${clustered};
