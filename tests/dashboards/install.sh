#!/bin/sh
# Gets the npm packages when they are not there, or not those of the lock. One at a time.
set -eu
cd -- "$(dirname -- "$0")"
(
	flock 9
	if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
		npm ci --no-audit --no-fund --ignore-scripts --loglevel error >&2
	fi
) 9>.lock
