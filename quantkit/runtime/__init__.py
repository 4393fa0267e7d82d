"""Running a model on a CPU: sessions, batches, engines and the facts about the machine.

    session · openvino_session · sessions    one model open in a runtime, and the table of runtimes
    batching · run                           rows into batches; all of them through an engine
    engine/                                  several batches at once: threads of this process, or processes
    profile · where                          how a model is best run, and on which engine
    cpu · topology · footprint               what the CPU can do, which cores share what, what fits a cache
    model_files                              a graph and the weights beside it
    instance · shared_block · shared_weights an instance in a process of its own, and the memory it shares

Nothing of it is imported here: an instance's process starts with numpy and its runtime alone.
"""
