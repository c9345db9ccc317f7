"""`python -m wenmo`, and with several processes `torchrun --nproc-per-node N -m wenmo`."""

import sys

from wenmo.cli import main

sys.exit(main())
