#!/usr/bin/env bash
# Unpacks the newest CPython of Debian's unstable packages into a folder, with the C library that it was built for.
#
#     newest-python.sh FOLDER [3.13]
#
# Prints the path of the interpreter; prints nothing where unstable has no Python that is newer than the version given.
# Nothing outside FOLDER changes. The interpreter has neither pip nor venv: give it packages by PYTHONPATH.
set -euo pipefail

mkdir -p "$1"
folder=$(cd "$1" && pwd)
known=${2:-3.0}
rm -rf "$folder/root"
mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/root"

# The mirror of this machine's own packages, asked for the unstable suite. The empty status file stands for a machine on
# which nothing is installed: apt then resolves and fetches everything that the interpreter needs, down to libc.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | grep -m 1 '/debian/\?$')
echo "deb $mirror unstable main" >"$folder/sources.list"
: >"$folder/status"
cat >"$folder/apt.conf" <<APT
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$folder/lists";
Dir::State::Status "$folder/status";
Dir::Cache "$folder/cache";
APT::Install-Recommends "false";
Acquire::Languages "none";
Debug::NoLocking "true";
APT
export APT_CONFIG=$folder/apt.conf

apt-get -qq update >&2
newest=$(apt-cache pkgnames python3. | grep -E '^python3\.[0-9]+$' | sort -V | tail -n 1)
[ -n "$newest" ] || { echo "error: unstable has no Python at all" >&2; exit 1; }
if [ "$(printf '%s\n' "$newest" "python$known" | sort -V | tail -n 1)" = "python$known" ]; then
  exit 0
fi

apt-get -qq --yes --download-only install "$newest" >&2
for package in "$folder"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$folder/root"
done

# The wrapper is what sys.executable names, so that the processes that a test starts get this C library as well.
loader=$(find "$folder/root/usr/lib" -maxdepth 2 -name 'ld-linux*.so.*' | head -n 1)
cat >"$folder/$newest" <<WRAPPER
#!/usr/bin/env bash
export PYTHONHOME="$folder/root/usr"
exec "$loader" --library-path "${loader%/*}" --argv0 "\$0" "$folder/root/usr/bin/$newest" "\$@"
WRAPPER
chmod +x "$folder/$newest"
"$folder/$newest" -c 'import ctypes, hashlib, sqlite3, ssl, zlib'
echo "$folder/$newest"
