"""A page that shows a data set to people who have not seen it: what became of all inputs, distributions, words, examples, cost."""
