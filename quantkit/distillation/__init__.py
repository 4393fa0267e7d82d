"""Distillation: a student learns to answer as its teacher does. Needs torch, the extra `export`.

    pair        is the student of this teacher, and which layers stand for which        no torch
    rows        questions as rows, and batches by their number        no torch
    schedule    steps, phases and learning rates; how many steps a budget holds        no torch
    encoder     a model run on a batch, and what it shows on the way
    blocks      each changed block against the one it replaces
    losses      how far outputs, hidden states and relations are apart
    fake_quantization        linear layers as they will be in INT8
    judge       the score on the selection
    state       what is kept on disk, to go on after a stop
    training    the loop

It knows neither graphs nor schemes.
"""
