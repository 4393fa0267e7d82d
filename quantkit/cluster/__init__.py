"""Ray: instances of an engine on the cores of several machines. `quantkit.engines` opens it like any other engine.

    cluster     connecting, counting and reserving cores, the files of a model in pieces
    engine      batches in line, given to actors, answered once each; what happens when one ends
    actor       one instance, seen from the driver
    instance    one instance, on its node
    errands     work that is more than batches, in line, given to a few workers, done once each
    errand      one worker, on its node

Nothing of it is imported here: for batches a node imports `instance`, and needs no more than numpy and the runtime.
"""
