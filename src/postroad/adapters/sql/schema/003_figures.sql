-- Counts of what happened to mail: buckets of a minute (60 s) and of an hour; `bucket` is when one begins, in seconds.

CREATE TABLE stat (
  width ${int} NOT NULL, bucket ${int} NOT NULL, server ${int} NOT NULL, stream TEXT NOT NULL, kind TEXT NOT NULL,
  n ${int} NOT NULL, PRIMARY KEY (width, bucket, server, stream, kind)
)${clustered};
