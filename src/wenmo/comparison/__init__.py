"""Which architecture, by experiment: equal-time trials, their learning curves, the test, the words, the page."""
