# Sourced by scripts that take no arguments: --help shows the comment at their head, anything else does too, with status 64.
# shellcheck shell=bash
if [ $# -gt 0 ]; then
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
  [ "$1" != --help ] || exit 0
  exit 64
fi
