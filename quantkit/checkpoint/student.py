"""Student: what a checkpoint's folder says of the larger one that it was made from."""

from pathlib import Path

from quantkit.checkpoint.files import read_json
from quantkit.errors import CheckpointError

SHAPE_RECORD, RECORD = "student.json", "distill.json"
"""What a search says of the units that a student kept, and what a distillation says of what it learned."""
RECORDS = (SHAPE_RECORD, RECORD)
"""Files of a student's folder whose `teacher` is the digest of the checkpoint that it was made from."""


def teacher_of(folder: Path) -> str | None:
    """Return the digest of the checkpoint that this one says it was made from; None when it says nothing.

    Raises:
        CheckpointError: a record is not JSON, or the two name different teachers.
    """
    found = teachers_of(folder)
    if len(set(found.values())) > 1:
        names = " and ".join(found)
        raise CheckpointError(
            f"{folder}: {names} name different teachers; remove the one that is not its own"
        )
    return next(iter(found.values()), None)


def teachers_of(folder: Path) -> dict[str, str]:
    """Return the teacher's digest by each record that is there.

    Raises:
        CheckpointError: a record is not JSON.
    """
    return {
        name: str(read_json(folder / name).get("teacher")) for name in RECORDS if (folder / name).is_file()
    }
