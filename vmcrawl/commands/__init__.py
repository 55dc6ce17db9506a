"""The commands of ``vmcrawl``, one module each: ``configure`` declares its arguments, ``run`` does it."""
