"""Progress on stderr: one bar on a terminal, a plain line now and then in a log.

* `track` counts units; `step` is work that nobody can count; `phases` is long work of several phases, in one line with
  its time left.
* Whatever begins inside of another shows in the line of the outermost: nothing draws two bars.
* `work` knows how much is done and how long the rest takes; `lines` and `bar` show it; `other` is another process's.
"""

from quantkit.progress.lines import speak
from quantkit.progress.other import Bars, Listener
from quantkit.progress.tracked import Phase, phases, standing, step, tell, track
from quantkit.progress.work import Advance

__all__ = ["Advance", "Bars", "Listener", "Phase", "phases", "speak", "standing", "step", "tell", "track"]
