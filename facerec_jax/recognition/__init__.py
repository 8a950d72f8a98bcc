"""Naming what a face shows: expression codes -> emotions and intensities."""
