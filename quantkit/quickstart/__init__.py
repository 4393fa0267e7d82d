"""The quickstart's questions and its tiny BERT, and the two scripts that made them.

`generate` (with `values`) writes the call-centre questions, `train` (with `labelled` and `fake_quantization`) the
checkpoint. They are run by name, `python -m quantkit.quickstart.generate`, and nothing in quantkit imports them: what
ships is found through `quantkit.shipped`. `train` needs torch, the extra `export`.
"""
