"""One module per subject: its SQL, its metric families, their HELP."""
