"""Statistics for operating: exact quantiles, rank and paired tests, proportions, sampled totals, change points. Pure.

Every answer carries what it stands on: how many values, an interval, and ``None`` where nothing can be said.
"""

from difyops.statistics.change_points import ChangePoint, change_points
from difyops.statistics.margins import (
    cases_for_margin,
    fewest_for_margin,
    least_difference,
    margin_limits,
    margin_of_cases,
    most_difference,
)
from difyops.statistics.paired import Paired, Shift, cases_needed, mcnemar, paired_bootstrap
from difyops.statistics.proportions import Interval, clopper_pearson, share_of_weights, weighted_share, wilson
from difyops.statistics.quantiles import Quantile, quantile, quantiles, weighted_quantile
from difyops.statistics.ranks import RankComparison, cliffs_delta, hodges_lehmann, mann_whitney
from difyops.statistics.ratio import Drawn, Estimate, estimate_total, ratio_interval, weighted_ratio
from difyops.statistics.sequential import FailureTest

__all__ = [
    "ChangePoint",
    "Drawn",
    "Estimate",
    "FailureTest",
    "Interval",
    "Paired",
    "Quantile",
    "RankComparison",
    "Shift",
    "cases_for_margin",
    "cases_needed",
    "change_points",
    "cliffs_delta",
    "clopper_pearson",
    "estimate_total",
    "fewest_for_margin",
    "hodges_lehmann",
    "least_difference",
    "mann_whitney",
    "margin_limits",
    "margin_of_cases",
    "mcnemar",
    "most_difference",
    "paired_bootstrap",
    "quantile",
    "quantiles",
    "ratio_interval",
    "share_of_weights",
    "weighted_quantile",
    "weighted_ratio",
    "weighted_share",
    "wilson",
]
