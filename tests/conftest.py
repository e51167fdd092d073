"""What all tests share: the figures of those of endurance are shown at the end of a run."""

from figures import table


def pytest_terminal_summary(terminalreporter):
    """Show the rows that tests handed over with record_property("figures", row), one table for each set of columns."""
    rows = [
        row
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, row in report.user_properties
        if name == "figures"
    ]
    for columns in dict.fromkeys(map(tuple, rows)):
        terminalreporter.section("figures of endurance", sep="-")
        for line in table(row for row in rows if tuple(row) == columns):
            terminalreporter.write_line(line)
