"""How compiled functions of the n-gram model and the tokenizer are compiled.

numba goes on with what it kept on the disk until the file of the function changes that was called from Python, whatever
became of the files of those that it calls. So only what is called from Python is kept, and a file where such functions
stand names the digests of the other files that they are made of (`PARTS`).
"""

from __future__ import annotations

import numba as nb

outermost = nb.njit(cache=True, nogil=True)
"""For what is called from Python, and kept on the disk."""
inner = nb.njit(nogil=True, _nrt=False)
"""For what makes no arrays: no references are counted, which takes half of the time (docs/lab.md, 2026-11-30)."""
inlined = nb.njit(nogil=True, _nrt=False, forceinline=True)
"""The same for what is called many times for a decision."""
allocating = nb.njit(nogil=True)
"""For what makes arrays, and is called by what is kept."""
