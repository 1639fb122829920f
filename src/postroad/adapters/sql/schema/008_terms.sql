-- What a sender asked of everyone who carries its message (RFC 3461, 4865, 2852, 6710), as JSON. NULL: nothing, as usual.

ALTER TABLE message ADD COLUMN terms TEXT;
ALTER TABLE delivery ADD COLUMN terms TEXT;
