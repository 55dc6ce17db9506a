"""Facts about upstream as of 2026-08-22, so that everything works offline: read by :mod:`vmcrawl.catalogue`."""
