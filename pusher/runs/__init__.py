"""What a person asks of a run, in the domain's words: to find one, to retry it, to cancel it, to resume it.

``recorded`` finds a run and who works on it, and has the reasons why what is asked of one is not done (``Refusal``);
``retry`` makes a new run's options of an old one's record; ``cancel`` asks one to stop; ``resume`` goes on with one
that has stopped by itself. The command line asks here, and so may a console. What must not live here: how a run is
asked for and what is printed of it (``cli``), what any adapter does, and the push itself.
"""

from pusher.runs.cancel import Asked, cancel
from pusher.runs.recorded import Refusal, RunRefusedError, find
from pusher.runs.resume import Resumed, resume
from pusher.runs.retry import Retry, retry

__all__ = ["Asked", "Refusal", "Resumed", "Retry", "RunRefusedError", "cancel", "find", "resume", "retry"]
