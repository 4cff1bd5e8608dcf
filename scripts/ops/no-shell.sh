#!/bin/sh
# Called by mmdebstrap with the folder of a new root: takes away what an image without a shell does not have.
set -eu
cd "$1"
cat usr/share/ca-certificates/mozilla/*.crt >etc/ssl/certs/ca-certificates.crt
cat >etc/passwd <<E
root:x:0:0:root:/root:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
E
printf 'root:x:0:\nnonroot:x:65532:\n' >etc/group
mkdir -p home/nonroot
chown 65532:65532 home/nonroot
rm -rf var/lib/apt var/lib/dpkg/info var/cache usr/share/man usr/sbin/* usr/bin/*
