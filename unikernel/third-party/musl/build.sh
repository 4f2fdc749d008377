#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh headers|library SOURCE BUILD COMPILER: musl's own build, with our syscall_arch.h put first,
# and crash.h included.
set -eu
what=$1 source=$2 build=$3 compiler=$4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$build"
cd "$build"
if [ "$what" = headers ]; then
	CC=$compiler CFLAGS="-O2 -ffunction-sections -fdata-sections -fstack-protector-strong -fno-pie
		-fcf-protection=none -ffile-prefix-map=$source=musl -ffile-prefix-map=$build=musl" \
		"$source/configure" --target=x86_64-linux-musl --prefix="$build/install" --disable-shared \
		--disable-wrapper AR=ar RANLIB=ranlib >configure.log 2>&1 || {
		cat configure.log >&2
		exit 1
	}
	# The only variable that stands before musl's own include folders.
	sed -i "s|^CFLAGS_C99FSE = |&-I$here -include $here/crash.h |" config.mak
	grep -q "^CFLAGS_C99FSE = -I$here -include " config.mak
	make -s install-headers
else
	make -s -j"$(nproc)" lib/libc.a >make.log 2>&1 || {
		cat make.log >&2
		exit 1
	}
fi
