"""bellwire.runtime.resident: the memory of the start is given back, and the process goes on."""

import platform
import subprocess
import sys

import pytest

from bellwire.runtime.resident import clean_code

CLEAN = """\
7f0000000000-7f0000003000 r-xp 00001000 fe:00 77                 /usr/lib/a name with blanks.so
Size:                 12 kB
Rss:                  12 kB
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""
PATCHED = """\
7f0000100000-7f0000101000 r-xp 00001000 fe:00 78                 /usr/lib/patched.so
Size:                  4 kB
Anonymous:             4 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""
SWAPPED = PATCHED.replace("4 kB\nPrivate", "0 kB\nPrivate").replace(
    "Swap:                  0", "Swap:                  4"
)
LARGE = PATCHED.replace("4 kB\nPrivate_Hugetlb:       0", "0 kB\nPrivate_Hugetlb:    2048")
UNTOLD = PATCHED.replace("4 kB\nPrivate_Hugetlb:       0 kB", "0 kB")
DATA = """\
7f0000200000-7f0000201000 r--p 00000000 fe:00 77                 /usr/lib/libdata.so
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
7f0000300000-7f0000301000 rw-p 00000000 fe:00 77                 /usr/lib/libdata.so
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""
KERNEL = """\
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                  [vdso]
Anonymous:             0 kB
Private_Hugetlb:       0 kB
Swap:                  0 kB
"""
PROGRAM = """
import numpy
from bellwire.runtime.resident import give_back_start
from bellwire.runtime.usage import usage_of
import os

before = usage_of(os.getpid()).rss_bytes
give_back_start()
after = usage_of(os.getpid()).rss_bytes
numpy.linalg.inv(numpy.eye(3))
print(before - after)
"""


def test_clean_code_of_files_is_found() -> None:
    assert clean_code((CLEAN + DATA).splitlines()) == [(0x7F0000000000, 0x3000)]


@pytest.mark.parametrize("segment", [PATCHED, SWAPPED, LARGE, UNTOLD, DATA, KERNEL])
def test_what_could_not_be_read_again_is_kept(segment: str) -> None:
    assert clean_code((segment + CLEAN).splitlines()) == [(0x7F0000000000, 0x3000)]
    assert clean_code((CLEAN + segment).splitlines()) == [(0x7F0000000000, 0x3000)]


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc")
def test_a_process_goes_on_with_less_memory() -> None:
    printed = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)
    assert int(printed) > 1 << 20
