"""The fault campaign: seeded sessions of the real desk under every trouble, judged at each event.

One number reproduces a run. What breaks a law is made as small as it gets and printed as a case.
"""
