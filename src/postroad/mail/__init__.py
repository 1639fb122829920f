"""The vocabulary: message and envelope formats (RFC 5321, 5322, 2045). Pure; imports nothing of ours."""
