"""Makes PyPI's torch importable on a machine without CUDA, without the gigabytes of CUDA libraries.

PyPI has one wheel of torch for Linux, linked to CUDA. Its libraries for CUDA are never called on a
CPU, but the dynamic linker wants them all to exist. This script, run by the environment's own Python
after `pip install --no-deps torch`, puts an empty library of each missing name beside torch's own,
and one with every symbol that nothing else defines: a function that says what happened and aborts.
Only the small CUDA runtime, which is called while torch is loaded, is the real package.
"""

import pathlib
import re
import subprocess
import sysconfig
import tempfile

# libcuda belongs to the driver: torch looks for it by itself and copes with its absence.
OF_THE_SYSTEM = re.compile(r"(lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|cuda)|ld-linux-.*)\.so")
OF_CUDA = re.compile(r"cu(blas|dnn|fft|pti|rand|sparse|solver|File)|nccl|nvrtc|nvshmem|nvJitLink")

# One library for all symbols: those torch wants carry the versions of the libraries that should
# define them, and the linker insists on these in a library of that name only.
SYMBOLS = "libno_cuda.so"

MISSING = """
#include <stdlib.h>
#include <unistd.h>
void missing(void) {
  static const char text[] = "tests/interop/cpu_torch.py left CUDA's libraries out of this torch\\n";
  if (write(2, text, sizeof text - 1) != 0) abort();
}
"""


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed_libraries(library):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output_of("readelf", "-d", str(library)))


def dynamic_symbols(library, kind):
    lines = output_of("nm", "-D", kind, "--format=posix", str(library)).splitlines()
    return {line.split()[0].split("@")[0] for line in lines}


def link(library, source, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".c") as file:
        file.write(source)
        file.flush()
        subprocess.run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", file.name,
                        *options, "-o", library], check=True)


def main():
    site = pathlib.Path(sysconfig.get_path("purelib"))
    folder = site / "torch" / "lib"
    own = sorted(folder.glob("*.so*"))
    cuda = sorted((site / "nvidia").rglob("*.so*"))
    needed = {name for library in own for name in needed_libraries(library)}
    needed -= {library.name for library in own + cuda}
    missing = sorted(name for name in needed if not OF_THE_SYSTEM.match(name))
    if not missing:
        return
    undefined = set().union(*(dynamic_symbols(library, "--undefined-only") for library in own))
    defined = set().union(*(dynamic_symbols(library, "--defined-only") for library in own + cuda))
    symbols = sorted(name for name in undefined - defined if OF_CUDA.match(name))
    alias = 'void {}(void) __attribute__((alias("missing")));\n'
    link(folder / SYMBOLS, MISSING + "".join(alias.format(symbol) for symbol in symbols))
    for name in missing:
        link(folder / name, "", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", folder / SYMBOLS)
    print(f"stand-ins for {', '.join(missing)}")


if __name__ == "__main__":
    main()
