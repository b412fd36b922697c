"""The scheduler: which target is worked on when, and the story of one target.

``attempt`` is that story on one page; ``admission`` (pure) decides who is next under the caps, ``retry`` (pure)
whether there is another attempt, ``identity`` (pure) whether the right machine answers; ``run`` drives them all.
No rendering here.
"""
