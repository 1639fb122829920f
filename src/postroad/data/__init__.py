"""Tables that ship as files."""
