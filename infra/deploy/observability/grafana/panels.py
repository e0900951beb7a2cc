"""What dashboards are made of: graphs, numbers, tables and logs, all described and with a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common, logs, loki, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    LogsSortOrder,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI = DataSourceRef(type_val="loki", uid="loki")

TAG = "orderfold"
HEIGHT = 8
WHOLE = 24
"""Columns of a row."""

Panel = timeseries.Panel | stat.Panel | table.Panel | logs.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel)


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called."""

    expr: str
    legend: str = "__auto"


def rate(metric: str, *by: str, where: str = "") -> str:
    """How often something happens in a second."""
    return f"{_sum(by)}(rate({metric}{_selector(where)}[$__rate_interval]))"


def quantile(share: float, metric: str, *by: str, where: str = "") -> str:
    """The value that this share of a histogram's observations stayed within."""
    rates = f"rate({metric}_bucket{_selector(where)}[$__rate_interval])"
    return f"histogram_quantile({share}, {_sum((*by, 'le'))}({rates}))"


def mean(metric: str, *by: str, where: str = "") -> str:
    """The mean of a histogram's observations."""
    return f"{rate(f'{metric}_sum', *by, where=where)} / {rate(f'{metric}_count', *by, where=where)}"


def _sum(by: Sequence[str]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"


def _selector(where: str) -> str:
    return f"{{{where}}}" if where else ""


def graph(
    title: str, description: str, unit: str, *queries: Query, width: int = 8, stacked: bool = False
) -> timeseries.Panel:
    """How something went over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .span(width)
        .height(HEIGHT)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return _asking(panel, queries)


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    worrying: float | None = None,
    good: float | None = None,
) -> stat.Panel:
    """How something is now: red from `worrying` on, or below `good`."""
    steps = [Threshold(value=None, color="green")]
    if worrying is not None:
        steps.append(Threshold(value=worrying, color="red"))
    if good is not None:
        steps = [Threshold(value=None, color="red"), Threshold(value=good, color="green")]
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .datasource(PROMETHEUS)
        .span(4)
        .height(4)
        .color_mode(BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.AREA)
        .thresholds(dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .no_value("none")
    )
    return _asking(panel, [Query(expr)])


def listing(title: str, description: str, expr: str, *, width: int = WHOLE) -> table.Panel:
    """What there is now, a row per series."""
    query = prometheus.Dataquery().expr(expr).instant().format(PromQueryFormat.TABLE).ref_id("A")
    return (
        table.Panel()
        .title(title)
        .description(description)
        .unit("none")
        .datasource(PROMETHEUS)
        .span(width)
        .height(HEIGHT)
        .no_value("none")
        .with_target(query.datasource(PROMETHEUS))
    )


def lines(title: str, description: str, expr: str, *, width: int = WHOLE) -> logs.Panel:
    """What was said."""
    return (
        logs.Panel()
        .title(title)
        .description(description)
        .unit("none")
        .datasource(LOKI)
        .span(width)
        .height(HEIGHT)
        .show_time(show_time=True)
        .wrap_log_message(wrap_log_message=True)
        .enable_log_details(enable_log_details=True)
        .sort_order(LogsSortOrder.DESCENDING)
        .with_target(loki.Dataquery().expr(expr).max_lines(200).ref_id("A").datasource(LOKI))
    )


def _asking(panel: P, queries: Sequence[Query]) -> P:
    for number_, query in enumerate(queries):
        asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend)
        panel.with_target(asked.range().ref_id(chr(ord("A") + number_)).datasource(PROMETHEUS))
    return panel


def choice(name: str, label: str, metric: str) -> dashboards.QueryVariable:
    """Lets one look at some of a label's values; `$name` in an expression is the chosen ones."""
    return (
        dashboards.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(f"label_values({metric}, {name})")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".+")
    )


class Board:
    """A dashboard; all of them link to each other."""

    def __init__(self, uid: str, title: str, description: str, *variables: dashboards.QueryVariable) -> None:
        self._made = (
            dashboards.Dashboard(title)
            .uid(f"orderfold-{uid}")
            .description(description)
            .tags([TAG])
            .time("now-1h", "now")
            .refresh("15s")
            .timezone("browser")
            .readonly()
            .link(
                dashboards.DashboardLink("Orderfold")
                .type(DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(as_dropdown=True)
                .keep_time(keep_time=True)
            )
        )
        for variable in variables:
            self._made.with_variable(variable)
        self._panels = 0

    def row(self, title: str, *panels: Panel) -> None:
        """Add a row of panels."""
        self._made.with_row(dashboards.Row(title).id(self._next()))
        for panel in panels:
            self._made.with_panel(panel.id(self._next()))

    def _next(self) -> int:
        self._panels += 1
        return self._panels

    def built(self) -> Dashboard:
        """The dashboard as Grafana takes it."""
        return self._made.build()
