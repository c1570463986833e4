"""Mini-project 1 of EE-559 (EPFL): a denoiser that never saw a clean picture."""
