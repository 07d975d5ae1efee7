#!/usr/bin/env bash
# Makes Benchmarks/Peers/.peers/: a virtual environment with PyTorch and ONNX Runtime, and ggml and llama.cpp's
# benchmarks, built from the llama.cpp that the source package of llama-cpp-python holds. What is there already is kept;
# what cannot be had is said, and the scripts then report that peer as missing.
#
#   setup.sh           everything that bench_peers.py needs
#   setup.sh engine    what engine_peers.py needs: llama.cpp's benchmarks, numpy and gguf
set -uo pipefail
cd "$(dirname "$0")"
what="${1:-operators}"
case "$what" in
    operators | engine) ;;
    *)
        echo "setup.sh: '$what' is neither 'operators' nor 'engine'" >&2
        exit 64
        ;;
esac
peers="$PWD/.peers"
python="$peers/venv/bin/python"
export PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$peers"

if [ ! -x "$python" ]; then
    echo "making a virtual environment"
    # Packages of the system are seen: PyTorch is large and often installed already.
    "${PYTHON:-python3}" -m venv --system-site-packages "$peers/venv" || exit 1
fi

# want MODULE PACKAGE...: installs ready-made packages unless the module is there.
want() {
    local module=$1
    shift
    "$python" -c "import $module" 2>/dev/null && return 0
    echo "installing $*"
    "$python" -m pip install --quiet --only-binary :all: "$@" && return 0
    echo "setup.sh: $* cannot be installed: the peer that needs it will be missing" >&2
    return 1
}

want numpy numpy || exit 1
if [ "$what" = engine ]; then
    want gguf gguf || exit 1
else
    want torch torch
    want onnx onnx
    want onnxruntime onnxruntime
fi

if ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "setup.sh: FlexAttention, ggml and llama.cpp need a C++ compiler: install g++ or clang++" >&2
fi

# What the processor can do. A build is for this very processor: on another one its programs may end with SIGILL.
features() {
    grep -m1 '^\(flags\|Features\)' /proc/cpuinfo 2>/dev/null || sysctl -n machdep.cpu.brand_string
}

# is_built FOLDER: whether a build ended there, for a processor like this one.
is_built() {
    [ "$(features)" = "$(cat "$1/processor" 2>/dev/null)" ]
}

# fetch WORK: unpacks the source package into a new folder, and makes the build tools ready.
fetch() {
    local work=$1
    want cmake cmake && want ninja ninja || return 1
    rm -rf "$work"
    mkdir "$work"
    echo "fetching the source of llama-cpp-python, which holds llama.cpp and ggml"
    "$python" -m pip download --quiet --no-deps --no-binary llama-cpp-python -d "$work" llama-cpp-python || return 1
    tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work" || return 1
    # The archive lacks this template of a pkg-config file, which nobody needs here.
    touch "$(echo "$work"/llama_cpp_python-*/vendor/llama.cpp/ggml)/ggml.pc.in"
}

# build WORK SOURCE TARGETS OPTION...: a release build for this very processor; the end of the log when it fails.
build() {
    local work=$1 source=$2 targets=$3
    shift 3
    (
        export PATH="$peers/venv/bin:$PATH"
        # shellcheck disable=SC2086  # the targets are words
        cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
            -DBUILD_SHARED_LIBS=ON -DGGML_CCACHE=OFF "$@" \
            -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN' >"$work/cmake.log" 2>&1 &&
            cmake --build "$work/build" --target $targets >>"$work/cmake.log" 2>&1
    ) || {
        tail -n 20 "$work/cmake.log" >&2
        return 1
    }
}

# ggml's own build, as llama.cpp ships it.
build_ggml() {
    local work="$peers/build"
    fetch "$work" || return 1
    echo "building ggml"
    build "$work" "$(echo "$work"/llama_cpp_python-*/vendor/llama.cpp/ggml)" all \
        -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF || return 1
    mkdir -p "$peers/ggml"
    find "$work/build" \( -name 'libggml*.so*' -o -name 'libggml*.dylib' \) -exec cp -P {} "$peers/ggml/" \;
    rm -rf "$work"
    ls "$peers"/ggml/libggml-cpu.* >/dev/null && features >"$peers/ggml/processor"
}

# llama.cpp as its own CMakeLists.txt builds it for a processor, and of its tools the two benchmarks.
build_llama() {
    local work="$peers/build"
    fetch "$work" || return 1
    echo "building llama.cpp, which takes minutes"
    build "$work" "$(echo "$work"/llama_cpp_python-*/vendor/llama.cpp)" "llama-bench llama-batched-bench llama-server" \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_APP=OFF \
        -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF || return 1
    mkdir -p "$peers/llama"
    find "$work/build/bin" \( -name 'lib*.so*' -o -name 'lib*.dylib' -o -name 'llama-*bench' -o -name 'llama-server' \) \
        -exec cp -P {} "$peers/llama/" \;
    # The build itself would name the commit of whatever repository lies around it.
    basename "$work"/llama_cpp_python-*.tar.gz .tar.gz | sed 's/llama_cpp_python-/of llama-cpp-python /' \
        >"$peers/llama/version"
    rm -rf "$work"
    [ -x "$peers/llama/llama-bench" ] && [ -x "$peers/llama/llama-server" ] && features >"$peers/llama/processor"
}

if [ "$what" = engine ]; then
    is_built "$peers/llama" ||
        build_llama || echo "setup.sh: llama.cpp cannot be built: that peer will be missing" >&2
elif ! is_built "$peers/ggml"; then
    build_ggml || echo "setup.sh: ggml cannot be built: that peer will be missing" >&2
fi

echo "peers are in Benchmarks/Peers/.peers"
