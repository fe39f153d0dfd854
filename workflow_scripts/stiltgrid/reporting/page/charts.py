"""The page's charts as Vega-Lite specifications, made and checked by Altair; the page adds the values."""

from typing import Any

import altair as alt
import vl_convert

VALUES = "values"  # name of the data that the page fills in
ENDING = "</script"


def specifications(synthetic: bool) -> dict[str, Any]:
    """Name -> specification. `synthetic` puts it into the titles, so that saved charts say so too."""
    charts = {
        "languages": _languages(),
        "small": _small(),
        "rows": _rows(),
        "loss": _loss(),
        "development": _development(),
    }
    if not synthetic:
        return {name: chart.to_dict() for name, chart in charts.items()}
    note = alt.TitleParams("synthetic data (mini-lab)", anchor="start", fontSize=10, fontWeight="normal")
    return {name: chart.properties(title=note).to_dict() for name, chart in charts.items()}


def program() -> str:
    """The JavaScript of Vega, Vega-Lite and vega-embed. Raises ValueError where it would end the page's script."""
    # Without a snippet the bundle sets window.vegaEmbed; the type stub lacks that default.
    bundle: str = vl_convert.javascript_bundle(  # type: ignore[call-arg]
        vl_version=alt.SCHEMA_VERSION.removeprefix("v").rpartition(".")[0]
    )
    if ENDING in bundle.lower():
        raise ValueError(f"the program of vl-convert holds '{ENDING}', which ends a script")
    return bundle


def _base(**encoding: Any) -> alt.Chart:
    return alt.Chart(alt.NamedData(VALUES)).encode(**encoding)


def _bars_with_intervals(title: str, field: str) -> alt.LayerChart:
    """Gains as bars from zero, with their 95 % intervals, one line a `field`."""
    line = alt.Y(f"{field}:N", sort=None, title=title)
    tooltip = [
        alt.Tooltip("name:N"),
        alt.Tooltip("score:Q", format=".1f"),
        alt.Tooltip("gain:Q", format="+.1f"),
        alt.Tooltip("low:Q", format="+.1f"),
        alt.Tooltip("high:Q", format="+.1f"),
    ]
    base = _base(y=line, tooltip=tooltip)
    bars = base.mark_bar(opacity=0.85).encode(
        x=alt.X("gain:Q", title="gain over none (points), 95 % interval"),
        color=alt.condition("datum.gain < 0", alt.value("#b2182b"), alt.value("#2166ac")),
    )
    intervals = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("from:Q"), x2="to:Q")
    layers: alt.LayerChart = alt.layer(bars, intervals).properties(width=420, height=alt.Step(18))
    return layers


def _languages() -> alt.LayerChart:
    return _bars_with_intervals("language", "name")


def _rows() -> alt.LayerChart:
    return _bars_with_intervals("row", "name")


def _small() -> alt.LayerChart:
    """Scores by language beside those of none, for the panel of a cell."""
    base = _base(y=alt.Y("code:N", sort=None, title=None))
    domain = alt.Scale(domain=[0, 100])
    bars = base.mark_bar(color="#2166ac", opacity=0.85).encode(
        x=alt.X("score:Q", scale=domain, title="score; tick: none")
    )
    ticks = base.mark_tick(color="#d95f02", thickness=2).encode(x=alt.X("none:Q", scale=domain))
    layers: alt.LayerChart = alt.layer(bars, ticks).properties(width=190, height=alt.Step(12))
    return layers


def _curve(y: alt.Y) -> alt.Chart:
    chart: alt.Chart = _base(
        x=alt.X("step:Q", title="step"),
        y=y,
        color=alt.Color("curve:N", sort=None, title=None),
        strokeDash=alt.StrokeDash("curve:N", sort=None, title=None),
        tooltip=["curve:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
    ).properties(width=380, height=220)
    return chart


def _loss() -> alt.Chart:
    return _curve(alt.Y("value:Q", title="training loss", scale=alt.Scale(zero=False))).mark_line()


def _development() -> alt.Chart:
    return _curve(alt.Y("value:Q", title="development score", scale=alt.Scale(zero=False))).mark_line(point=True)
