#!/bin/sh
# Copies iptables (nf_tables and legacy, both families, with extensions) and ip, and the libraries that they load, below
# a folder: collect-iptables.sh FOLDER. The proxy's image has no package manager that could install them.
set -eu
target=$1
mkdir -p "$target"
target=$(cd "$target" && pwd)
# Parents of absolute paths are only found from here.
cd /
ip=$(PATH=$PATH:/usr/sbin:/sbin command -v ip)
for file in /usr/sbin/xtables-*-multi /usr/sbin/ip*tables-nft* /usr/sbin/ip*tables-legacy* /usr/lib/*/xtables/*.so \
  "$(readlink -f "$ip")"; do
  cp -a --parents "$file" "$target"
  ldd "$file" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' >> "$target/libraries"
done
# Each library under the name by which it is looked for; /lib is a link to /usr/lib on Debian.
sort -u "$target/libraries" | while read -r library; do
  case $library in
    /usr/*) place=$target$library ;;
    *) place=$target/usr$library ;;
  esac
  # The C library and the loader are those of the image itself.
  case ${library##*/} in
    libc.so.* | libm.so.* | ld-linux*) continue ;;
  esac
  mkdir -p "${place%/*}"
  cp -L "$library" "$place"
done
rm "$target/libraries"
# Where one program chooses for itself, it is the one of nf_tables.
for family in iptables ip6tables; do
  for tool in "" -save -restore; do
    ln -sf "xtables-nft-multi" "$target/usr/sbin/$family$tool"
  done
done
