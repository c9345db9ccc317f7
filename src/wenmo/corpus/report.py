"""The corpus report: one self-contained HTML page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from wenmo.corpus.store import Manifest
from wenmo.progress import quantity

TEMPLATE = "report.html.j2"


def write_report(path: Path, manifest: Manifest, samples: list[tuple[str, str]]) -> None:
    """Writes the report of a corpus.

    Args:
        path: File to write.
        manifest: What the corpus holds.
        samples: (source, first characters) of a few documents.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quantity": quantity, "number": "{:,}".format}
    scripts: Counter[str] = Counter()
    for record in manifest.splits.values():
        scripts.update(record.scripts)
    encodings = Counter(
        record.encoding or ("Parquet" if record.kept else "none") for record in manifest.files
    )
    page = environment.get_template(TEMPLATE).render(
        manifest=manifest,
        samples=samples,
        scripts=dict(scripts),
        encodings=encodings.most_common(),
        kept=sum(record.kept for record in manifest.files),
        dropped=sum(manifest.dropped.values()),
    )
    path.write_text(page, encoding="utf-8")
