"""One instance of the process engine and the batches it has, as its parent keeps them."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from quantkit.runtime.engine.child import Child
from quantkit.runtime.engine.engine import WAITING
from quantkit.runtime.engine.model import Model
from quantkit.runtime.engine.queued import Task
from quantkit.runtime.instance import FLAG
from quantkit.runtime.shared_block import SharedBlock


@dataclass(eq=False, kw_only=True, slots=True)
class Instance:
    """A process and its batches.

    Attributes:
        blocks: one for each batch it may have.
        state: the block in which the process notes whether it is running a batch.
        flying: batches sent to it, each with the number of its block, in the order of its answers.
        child: the process, which may be gone already.
        ready: it takes batches.
        ran: seconds inside the runtime.
    """

    cores: tuple[int, ...]
    blocks: list[SharedBlock]
    state: SharedBlock
    child: Child
    flying: deque[tuple[Task, int]] = field(default_factory=deque)
    ready: bool = False
    ran: float = 0.0

    @property
    def room(self) -> int:
        """How many more batches it takes."""
        return len(self.blocks) - len(self.flying) if self.ready else 0

    @property
    def in_a_run(self) -> bool:
        """The process is running the first batch in flight, or was when it ended."""
        return bool(self.state.views([FLAG])[0][0])

    def send(self, task: Task) -> None:
        """Write a batch into a free block, and tell the process.

        Raises:
            ConnectionError: it is gone.
            OSError: there is no memory for the batch.
        """
        taken = {number for _, number in self.flying}
        number = next(number for number in range(len(self.blocks)) if number not in taken)
        places = self.blocks[number].write(task.feeds.values())
        # In flight before it is sent: the answer may be read before `send` returns.
        self.flying.append((task, number))
        try:
            self.child.send({"block": number, "names": list(task.feeds), "places": places})
        except OSError:
            self.flying.pop()
            raise

    @classmethod
    def start(cls, model: Model, cores: tuple[int, ...]) -> "Instance":
        """Start the process of a new instance, bound to these CPUs; it is not ready yet."""
        blocks, state = [SharedBlock.new() for _ in range(WAITING)], SharedBlock.new()
        return cls(cores=cores, blocks=blocks, state=state, child=_start(model, cores, blocks, state))

    def start_again(self, model: Model) -> None:
        """Start another process in place of one that has ended."""
        self.child = _start(model, self.cores, self.blocks, self.state)

    def clear(self) -> None:
        """End the process, and let go of its memory."""
        self.child.kill()
        self.child.release()
        for block in (*self.blocks, self.state):
            block.close()


def _start(model: Model, cores: tuple[int, ...], blocks: list[SharedBlock], state: SharedBlock) -> Child:
    state.write([np.zeros(1, np.uint8)])
    descriptors = [block.descriptor for block in blocks]
    return Child(model, cores=cores, blocks=descriptors, state=state.descriptor)
