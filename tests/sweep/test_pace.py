from types import SimpleNamespace

from textmix.sweep.pace import Pace


def run(group, method):
    return SimpleNamespace(group=(group,), method=method)


def test_the_time_left_is_that_of_the_runs_most_alike():
    short, alike, other, elsewhere = run("a", "x"), run("a", "x"), run("a", "y"), run("b", "x")
    pace = Pace([short, alike, other, elsewhere], jobs=1)
    assert pace.seconds_left is None
    pace.done(short, 10.0)
    assert pace.seconds_left == 30.0
    pace.done(other, 40.0)
    assert pace.seconds_left == 10.0 + 25.0  # one like it took 10; of the other data nothing is known but the mean
    assert str(pace) == "2 of 4, about 35 s to go"
    pace.lost(alike)
    assert str(pace) == "3 of 4, about 25 s to go"
    pace.done(elsewhere, 1.0)
    assert str(pace) == "4 of 4"


def test_jobs_share_the_time_left():
    runs = [run("a", "x") for _ in range(5)]
    pace = Pace(runs, jobs=2)
    pace.done(runs[0], 10.0)
    assert pace.seconds_left == 20.0
