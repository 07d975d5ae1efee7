#!/usr/bin/env bash
# Makes Benchmarks/Peers/.peers/: a virtual environment with PyTorch and ONNX Runtime, and ggml built from the llama.cpp
# that the source package of llama-cpp-python holds. What is there already is kept; what cannot be had is said, and
# bench_peers.py then reports that peer as missing.
set -uo pipefail
cd "$(dirname "$0")"
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
want torch torch
want onnx onnx
want onnxruntime onnxruntime

if ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "setup.sh: FlexAttention and ggml need a C++ compiler: install g++ or clang++" >&2
fi

# ggml's own build, as llama.cpp ships it: release, for this very processor.
build_ggml() {
    want cmake cmake && want ninja ninja || return 1
    local work="$peers/build"
    rm -rf "$work"
    mkdir "$work"
    echo "fetching the source of llama-cpp-python, which holds ggml"
    "$python" -m pip download --quiet --no-deps --no-binary llama-cpp-python -d "$work" llama-cpp-python || return 1
    tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work" || return 1
    local source
    source=$(echo "$work"/llama_cpp_python-*/vendor/llama.cpp/ggml)
    # The archive lacks this template of a pkg-config file, which nobody needs here.
    touch "$source/ggml.pc.in"
    echo "building ggml"
    (
        export PATH="$peers/venv/bin:$PATH"
        cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
            -DBUILD_SHARED_LIBS=ON -DGGML_CCACHE=OFF -DGGML_BUILD_TESTS=OFF -DGGML_BUILD_EXAMPLES=OFF \
            -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON -DCMAKE_INSTALL_RPATH='$ORIGIN' >"$work/cmake.log" 2>&1 &&
            cmake --build "$work/build" >>"$work/cmake.log" 2>&1
    ) || {
        tail -n 20 "$work/cmake.log" >&2
        return 1
    }
    mkdir -p "$peers/ggml"
    find "$work/build" \( -name 'libggml*.so*' -o -name 'libggml*.dylib' \) -exec cp -P {} "$peers/ggml/" \;
    rm -rf "$work"
    ls "$peers"/ggml/libggml-cpu.* >/dev/null
}

if ! ls "$peers"/ggml/libggml-cpu.* >/dev/null 2>&1; then
    build_ggml || echo "setup.sh: ggml cannot be built: that peer will be missing" >&2
fi

echo "peers are in Benchmarks/Peers/.peers"
