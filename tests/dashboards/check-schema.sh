#!/bin/sh
# Holds dashboards against the types that Grafana publishes; see README.md.
#   check-schema.sh DASHBOARD.json...
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
"$here/install.sh"
exec node "$here/check-schema.mjs" "$@"
