"""What a crawl costs, measured: ``make bench``; README.md says what came of it."""
