"""The stopwatch: other engines run on the same bars, in environments of their own, beside ours."""
