#!/bin/sh
# Draws a dashboard from answers, with Grafana's own components; see README.md.
#   draw.sh ANSWERS.json OUT_DIR [--theme dark|light]... [--width 1600]... [--scale 2]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
"$here/install.sh"

# Built anew when something that it is made of is newer. One at a time, since a build empties its folder first.
(
	flock 9
	cd "$here"
	if [ ! -e build/index.html ] ||
		[ -n "$(find src index.html vite.config.ts package-lock.json -newer build/index.html)" ]; then
		npx --no-install vite build --logLevel warn >&2
	fi
) 9>"$here/.lock"

exec node "$here/draw.mjs" "$@"
