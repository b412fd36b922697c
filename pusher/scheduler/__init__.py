"""The scheduler: who is next, and when again. Pure: it is told the time, and does nothing itself.

``admission`` decides who may be worked on under the caps, ``retry`` whether there is another attempt. What must
not live here: I/O, and a clock.
"""
