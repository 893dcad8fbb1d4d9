"""The command line, one file per command. Starts without importing ray, torch, av or pyarrow."""
