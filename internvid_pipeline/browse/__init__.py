"""A local web application in which people look at clips and choose their thresholds."""
