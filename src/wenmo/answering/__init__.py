"""Answers to questions, cut out of passages: the span reader, its training, and its scores."""
