#!/bin/sh
# What rtlua needs from the system, and how it gets here.
#
#   setup.sh missing build|test|machines|lint|arm64   prints the Debian packages that are missing, one a line
#   setup.sh install build|test|machines|lint|arm64   installs them: as root, or by sudo when it asks no password or a
#                                                     person is there to answer; else says the one command to run and
#                                                     fails
#
# machines is what the specs need whose machines are real. Only root can run these, so that root's test includes it. No
# service that comes along is started or enabled: the specs start daemons of their own. arm64 is what builds for AArch64
# and runs that here, for CI: the system gets packages of that architecture, too.
#
# A thing counts as there when it works, however it came: a package manager is called only when something is missing.
# CC is the compiler; HEADER_FLAGS its flags for the headers of Lua and the libraries, when the caller knows them.
set -eu

missing=""
need() { # PACKAGE COMMAND...: is missing unless the command succeeds
  package=$1; shift
  "$@" >/dev/null 2>&1 </dev/null || missing="$missing $package"
}
has() { command -v "$1"; }
compiles() { printf 'int main(void) { return 0; }\n' | ${CC:-cc} -x c -o /dev/null -; }
header() { # NAME PKG-CONFIG-PACKAGE
  flags=${HEADER_FLAGS-$(pkg-config --cflags "$2" 2>/dev/null || true)}
  # shellcheck disable=SC2086 # flags are words
  printf '#include <stdio.h>\n#include <%s>\n' "$1" | ${CC:-cc} $flags -E -x c -o /dev/null -
}
module() { lua5.4 -e "require '$1'"; }

for_build() {
  need build-essential compiles
  need build-essential has ar
  need pkg-config has pkg-config
  need lua5.4 has lua5.4
  need liblua5.4-dev header lua.h lua5.4
  need libpng-dev header png.h libpng
  need libcurl4-openssl-dev header curl/curl.h libcurl
  need lua-cjson module cjson
  need lua-argparse module argparse
  need lua-filesystem module lfs
}
# What a build takes along when it is there.
for_everything() {
  for_build
  need libopenexr-dev header openexr.h OpenEXR
  need libjpeg-dev header jpeglib.h libjpeg
}
for_test() {
  for_everything
  need lua-busted lua5.4 -e "require 'busted.runner'"
  need pngcheck has pngcheck
  need lua-socket module socket
  need openssl has openssl
  need luarocks has luarocks
  need strace has strace
  need openssh-client has ssh
  [ "$(id -u)" != 0 ] || for_machines
}
is_static() { has "$1" && ! ldd "$(command -v "$1")"; }
for_machines() {
  for_build
  need docker.io has dockerd
  need docker.io has docker
  for tool in debootstrap slirp4netns iptables; do need $tool has $tool; done
  need iproute2 has ip
  need openssh-client has ssh
  need openssh-server has sshd
  need busybox-static is_static busybox
}
for_lint() {
  for_test
  need lua-check has luacheck
  need openimageio-tools has oiiotool
  for tool in clang clang-format clang-tidy; do need $tool has $tool; done
}
for_arm64() {
  need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
  need qemu-user-static has qemu-aarch64-static
  for package in libc6-dev liblua5.4-dev libpng-dev libcurl4-openssl-dev lua-cjson lua-filesystem; do
    need $package:arm64 dpkg -s $package:arm64
  done
}

what=${2-}
case "${1-}:$what" in
  missing:build | missing:test | missing:machines | missing:lint | missing:arm64) "for_$what" ;;
  install:build) for_everything ;;
  install:test | install:machines | install:lint | install:arm64) "for_$what" ;;
  *) echo "usage: setup.sh missing|install build|test|machines|lint|arm64" >&2; exit 64 ;;
esac
missing=$(for package in $missing; do echo "$package"; done | sort -u)
if [ "$1" = missing ]; then
  [ -z "$missing" ] || echo "$missing"
  exit 0
fi
[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086 # packages are words
set -- $missing
if ! has apt-get >/dev/null; then
  echo "rtlua needs, by their Debian names, $*: install what your system calls them (README.md, Platforms)" >&2
  exit 69
fi
if [ "$(id -u)" = 0 ]; then
  as_root=""
elif has sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
  as_root=sudo
else
  echo "rtlua needs packages that only root may install; run: sudo apt-get install -y $*" >&2
  exit 77
fi
echo "setup: installing $*" >&2
run() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 "$@" >&2; }
[ "$what" != arm64 ] || $as_root dpkg --add-architecture arm64
run update

# Debian starts a service with its package, unless this program says no; enabled it is all the same.
policy=/usr/sbin/policy-rc.d
services=""
for unit in docker.service docker.socket containerd.service ssh.service ssh.socket; do
  [ -e "/lib/systemd/system/$unit" ] || services="$services $unit"
done
if [ ! -e $policy ]; then
  trap '$as_root rm -f $policy' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
  $as_root chmod 755 $policy
fi
run install -y --no-install-recommends "$@"
for unit in $services; do
  [ ! -e "/lib/systemd/system/$unit" ] || $as_root systemctl disable "$unit" >/dev/null 2>&1 || true
done
