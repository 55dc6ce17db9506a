"""``python -m vmcrawl``."""

import sys

from vmcrawl.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
