"""What the driver is made of, in layers: each knows those below it.

core        the state of a run while it is driven; giving out calls
answering   what tasks ask of each other's values
changing    nodes that grow, decide, complete and fail
hearing     what executors have to tell
"""
