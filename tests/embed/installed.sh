#!/bin/sh
# SPDX-License-Identifier: MIT
# installed.sh BUILD SOURCE PYTHON CC: installs into a temporary folder, builds the example against
# that alone, with pkg-config (shared and static) and with the CMake package, and runs it. No libssh
# and no libuv may be linked, and every header must compile alone, as C and as C++.
set -eu
build=$1 source=$2 python=$3 cc=$4
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
DESTDIR=$top cmake --install "$build" >/dev/null
prefix=$(sed -n 's/^prefix=//p' "$build/packhorse.pc")
libdir=$(dirname "$(find "$top" -name packhorse.pc)")
root=$top$prefix
export PKG_CONFIG_PATH="$libdir" PKG_CONFIG_SYSROOT_DIR="$top"
cp "$source/examples/embed.c" "$top/embed.c"
cd "$top"
# shellcheck disable=SC2046 # flags are words
$cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror embed.c -o embed-shared $(pkg-config --cflags --libs packhorse)
# shellcheck disable=SC2046
$cc -std=c11 -D_GNU_SOURCE embed.c -o embed-static $(pkg-config --cflags packhorse) \
	"$(find "$root" -name libpackhorse.a)" $(sed -n 's/^Libs.private: //p' "$build/packhorse.pc")
for program in embed-shared embed-static; do
	if ldd "$program" | grep -E 'libssh|libuv'; then
		echo "$program links what it must not" >&2
		exit 1
	fi
done
cat >CMakeLists.txt <<-EOT
	cmake_minimum_required(VERSION 3.25)
	project(embed C)
	find_package(packhorse REQUIRED)
	add_executable(embed embed.c)
	target_compile_definitions(embed PRIVATE _GNU_SOURCE)
	target_link_libraries(embed PRIVATE packhorse::packhorse)
EOT
cmake -S . -B cmake-build -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$root" >/dev/null
cmake --build cmake-build >/dev/null
for header in "$root"/include/packhorse/*.h; do
	name=packhorse/$(basename "$header")
	echo "#include <$name>" | $cc -std=c11 -Wall -Wextra -pedantic -Werror -fsyntax-only -I"$root/include" -x c -
	echo "#include <$name>" | c++ -std=c++17 -Wall -Werror -fsyntax-only -I"$root/include" -x c++ -
done
LD_LIBRARY_PATH=$(dirname "$(find "$root" -name libpackhorse.so)")
export LD_LIBRARY_PATH
"$python" -B "$source/tests/embed/embed.py" "$top/embed-shared"
"$python" -B "$source/tests/embed/embed.py" "$top/embed-static"
