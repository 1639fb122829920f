"""A believable day of mail, lived through by the real machinery on a clock in the past: `play.live_through`.

`letters` says who wrote what and when, `neighbours` how the other servers behaved; `past` is the clock, `wire` the
network, both in memory. The same seed and the same hour give the same rows.
"""
