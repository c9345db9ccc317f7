"""Texts to labels: an n-gram linear model, a head on a language model, their average, and the words that decided."""
