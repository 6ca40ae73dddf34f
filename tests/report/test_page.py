from textmix.report.page import NO_BREAK, between, number, p_value, percent, percent_range


def test_numbers_are_written_the_same_everywhere():
    assert number(0.05234) == "0.0523"
    assert percent(0.8912) == f"89.1{NO_BREAK}%"
    assert p_value(0.0499) == "0.050"
    assert p_value(0.00099) == f"<{NO_BREAK}0.001"
    assert number(-0.00001) == "0.0000"


def test_intervals_stay_in_one_piece():
    assert between([0.01, 0.02]) == f"[0.0100,{NO_BREAK}0.0200]"
    assert percent_range([0.7, 0.85]).replace(NO_BREAK, " ") == "70.0 to 85.0 %"
    assert " " not in percent_range([0.7, 0.85]) + between([0, 1])
