#!/bin/sh
# clone.sh SEED DATA: makes DATA, a data folder for dockerd, of that of a stopped one. Layers are never written to: they
# are shared by hard links. Databases are, and are copied.
set -eu
mkdir "$2.new"
(cd "$1" && find . -mindepth 1 -maxdepth 1 ! -name overlay2 -exec cp -a -t "$2.new" {} +)
[ ! -d "$1/overlay2" ] || cp -al "$1/overlay2" "$2.new/overlay2"
mv "$2.new" "$2"
