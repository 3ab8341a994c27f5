"""Checks of graphs and of feeds: every finding is reported, not just the first."""

from graphspec.validation.feeds import FeedChecker, check_feeds
from graphspec.validation.model import validate
from graphspec.validation.report import Report, ValueInfo

__all__ = ["FeedChecker", "Report", "ValueInfo", "check_feeds", "validate"]
