#!/bin/sh
# Draws a dashboard from answers, with Grafana's own components; see README.md.
#   draw.sh ANSWERS.json OUT_DIR [--theme dark|light]... [--width 1600]... [--scale 2]
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
"$here/install.sh"
# Built anew when a source, or what it is made of, is newer than the page.
if [ -z "$(find "$here/build/index.html" 2>/dev/null)" ] ||
	[ -n "$(find "$here/src" "$here/index.html" "$here/vite.config.ts" "$here/package-lock.json" -newer "$here/build/index.html")" ]; then
	(cd "$here" && npx --no-install vite build --logLevel warn)
fi
exec node "$here/draw.mjs" "$@"
