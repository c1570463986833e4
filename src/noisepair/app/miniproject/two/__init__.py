"""Mini-project 2 of EE-559 (EPFL): the denoiser again, every gradient written by hand."""
