"""The embedded quickstart: a tiny BERT, its call-centre questions, and the two scripts that made them."""
