"""What a chapter found: a table, remarks and charts, as the terminal, the page and the pictures show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.chart import Chart
from tests.support import benchmarks_page

CHARTS = benchmarks_page.PAGE.parent / "charts"


@dataclass(frozen=True, slots=True)
class Finding:
    """One table with what is to be said about it. The first column is text, the others are numbers."""

    title: str
    about: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    remarks: Sequence[str] = ()
    charts: Sequence[Chart] = ()

    def show(self, console: Console) -> None:
        """Print it."""
        table = Table(title=self.title, title_justify="left")
        for number, name in enumerate(self.head):
            table.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for remark in self.remarks:
            console.print(f"- {remark}", markup=False, highlight=False)

    def write(self, chapter: str, how: str) -> None:
        """Write its section of `docs/benchmarks.md` and its charts anew; `how` tells what was run."""
        facts = (
            f"- Last command: {how}, {benchmarks_page.today()}, {benchmarks_page.commit()}\n"
            f"- Machine: {benchmarks_page.machine()}"
        )
        table = benchmarks_page.table(self.head, self.rows)
        remarks = "\n".join(f"- {remark}" for remark in self.remarks)
        charts = "\n".join(f"![{chart.title}]({CHARTS.name}/{chart.file_name})" for chart in self.charts)
        parts = (f"## {self.title}", self.about, facts, table, remarks, charts)
        benchmarks_page.replace_section(f"bench-{chapter}", "\n\n".join(filter(None, parts)))
        CHARTS.mkdir(exist_ok=True)
        for chart in self.charts:
            (CHARTS / chart.file_name).write_text(chart.svg(), encoding="utf-8")
