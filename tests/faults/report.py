"""What a part of the fault run found: how many trials, and which of them were faults."""

from dataclasses import dataclass, field


@dataclass
class Part:
    """Trials of one kind."""

    title: str
    trials: int = 0
    notes: dict[str, int] = field(default_factory=dict)  # how the trials ended -> how often
    faults: list[str] = field(default_factory=list)

    def add(self, note: str, fault: str | None = None) -> None:
        """Count one trial that ended as ``note`` says; ``fault`` says what is wrong with it."""
        self.trials += 1
        self.notes[note] = self.notes.get(note, 0) + 1
        if fault is not None:
            self.faults.append(fault)

    def row(self) -> str:
        """One row of a Markdown table."""
        ended = ", ".join(f"{n} {note}" for note, n in sorted(self.notes.items()))
        return f"| {self.title} | {self.trials} | {ended} | {len(self.faults)} |"


def table(parts: list[Part]) -> str:
    """All parts as a Markdown table."""
    head = ["| what was done | trials | how they ended | faults |", "|---|---|---|---|"]
    return "\n".join([*head, *(part.row() for part in parts)])
