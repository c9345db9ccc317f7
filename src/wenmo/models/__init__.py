"""Model families under one contract: transformer, rnn, lstm, gru, ngram, mixture."""
