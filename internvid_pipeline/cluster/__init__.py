"""Running a config on a cluster: launching through Ray's job server, checks before the work starts, files for KubeRay and Slurm.

Importing this package imports nothing else of the library: `cluster.bootstrap` must run, and say what is missing, on a machine that has
no more than Python.
"""
