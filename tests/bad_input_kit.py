"""A command that must refuse what it is given, and a good file to spoil."""

from textmix.cli import main

ROWS = [("salt in the oven", "cooking"), ("the tide at the mast", "sailing"), ("a chord", "music")] * 20


def csv(rows=ROWS, header="text,label") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows)]).encode() + b"\n"


def refused(argv, capsys, folder) -> str:
    """Run a command that must be refused; return its sentence."""
    before = sorted(folder.rglob("*"))
    assert main(argv) == 2
    captured = capsys.readouterr()
    *told, last = captured.err.splitlines()
    assert last.startswith("error: ")
    assert not any(line.startswith(("Traceback", "error: ")) for line in told)
    assert len(last) < 700
    assert captured.out == ""
    assert sorted(folder.rglob("*")) == before, "something half-written was left behind"
    return last


def train(*flags) -> list[str]:
    return ["train", "--output_dir", "run", "--train.threads", "1", "--train.epochs", "1", *flags]
