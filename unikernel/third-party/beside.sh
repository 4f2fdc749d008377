#!/bin/sh
# SPDX-License-Identifier: MIT
# beside.sh UNPACKED OUTPUT [ARCHIVES]: puts beside the images what their licences ask for: LICENSES/, the
# archives they were built from as sources/, and words on relink/, where the build left its libraries.
set -eu
unpacked=$1 output=$2 archives=${3:-$1/downloads}
top=$(cd "$(dirname "$0")/../.." && pwd)
rm -rf "$output/LICENSES" "$output/sources"
mkdir -p "$output/LICENSES" "$output/sources"

# first_comment FILE: the notice at its head.
first_comment() {
	printf '\n==== %s\n\n' "${1#"$unpacked"/}"
	awk 'NR > 1 && !inside && !/^ *(\/\*|\/\/|\*|$)/ { exit } /\/\*/ { inside = 1 } { print }
		/\*\// { inside = 0 }' "$1"
}

cp "$top/LICENSE" "$output/LICENSES/packhorse"
cp "$unpacked/musl/COPYRIGHT" "$output/LICENSES/musl"
cp "$unpacked/mbedtls/LICENSE" "$output/LICENSES/mbedtls"
cp "$unpacked/lwip/COPYING" "$output/LICENSES/lwip"
cp "$unpacked/libssh/COPYING" "$output/LICENSES/libssh"
first_comment "$unpacked/zlib/zlib.h" >"$output/LICENSES/zlib"
for file in "$unpacked"/libssh/src/external/*.c "$unpacked"/libssh/include/libssh/libcrux*.h; do
	[ ! -f "$file" ] || first_comment "$file"
done >"$output/LICENSES/libssh-external"
cat >"$output/LICENSES/libgcc" <<'END'
Parts of libgcc are linked in: GPL version 3 with the GCC Runtime Library Exception, version 3.1, which
lets programs made by a compilation with GCC be under terms of their own choice.
END

sed -n 's/^  [0-9a-f]\{64\} //p' "$unpacked/used.txt" | while read -r name; do
	cp "$archives/$name" "$output/sources/$name"
done
cp "$unpacked/used.txt" "$output/sources/"

cat >"$output/relink/README" <<'END'
libssh is under the GNU Lesser General Public License, version 2.1 (../LICENSES/libssh). These are the
archives that the images are linked from. To have another libssh in one:

  sh link.sh packhorse.elf /somewhere/packhorse.elf /somewhere/libssh.a

libssh.a must be compiled against the same musl and mbedTLS and with the same config.h, all of which the
source of Packhorse brings: unpack another libssh with unikernel/third-party/fetch.py (--use), build the
target ph_tp_libssh, and take relink/libph_tp_libssh.a. Without a third argument the image comes out as it
was, byte for byte.
END
