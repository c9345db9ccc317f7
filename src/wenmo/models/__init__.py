"""Model families under one contract: transformers, recurrent networks, n-grams, mixtures."""
