"""Ray: instances on the cores of several machines."""
