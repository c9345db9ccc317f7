"""`prepare`: the whole way from the paths a user names to an open corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import wenmo
from wenmo.config import CorpusSettings
from wenmo.corpus.inputs import Inputs, Source, find_split_inputs
from wenmo.corpus.planning import hash_file, plan_source
from wenmo.corpus.reading import Plan
from wenmo.corpus.remote import RemoteFile
from wenmo.corpus.splitting import SPLITS, assign, check_settings, drawn
from wenmo.corpus.store import FORMAT, MANIFEST, REPORT, Corpus, FileRecord, Manifest, losses
from wenmo.errors import InputError, OptionError, WenmoError
from wenmo.files import atomic_directory, disk_errors, working_directory
from wenmo.progress import track


def prepare(
    paths: Sequence[str | Path],
    output: str | Path,
    settings: CorpusSettings = CorpusSettings(),  # noqa: B008
    *,
    force: bool = False,
    progress: bool = True,
) -> Corpus:
    """Turns raw files into a corpus directory, or opens the one that is there when nothing changed.

    Args:
        paths: Files, folders (recursively), glob patterns, or `-` for standard input.
        output: Directory of the corpus; replaced as a whole when it is rebuilt.
        settings: How files are read, cleaned and split.
        force: Rebuild even when inputs, settings and version are unchanged.
        progress: Show progress on stderr.

    Returns:
        The open corpus.

    Raises:
        InputError: When nothing readable is found, too little text is left, or a named field is missing.
        OptionError: When an option makes no sense.
        ResourceError: When the disk is full or `output` cannot be written.
    """
    check_settings(settings)
    output = Path(output)
    with disk_errors(output):
        taken = output.exists() and not (output / MANIFEST).is_file()
        if taken and (not output.is_dir() or any(output.iterdir())):
            raise InputError(f"{output} exists and is no corpus; name another directory")
    with working_directory(output) as work:
        held_out = {"test": settings.test, "valid": settings.valid}
        inputs = find_split_inputs(paths, held_out, work / "stdin")
        inputs.sources = [source for source in inputs.sources if not _inside(source.path, output)]
        if all(source.split for source in inputs.sources):
            if inputs.sources:
                raise InputError(
                    "nothing to train on: all text is held out by --corpus.valid or --corpus.test; name more"
                )
            raise InputError(_nothing_found(inputs, paths))
        if not force:
            existing = _unchanged(output, inputs, settings, paths)
            if existing is not None:
                return existing
        with disk_errors(output):
            _build(inputs, paths, output, work, settings, progress)
    return Corpus.open(output)


def _inside(path: Path | RemoteFile, folder: Path) -> bool:
    return folder.resolve() in path.resolve().parents


def _nothing_found(inputs: Inputs, paths: Sequence[str | Path]) -> str:
    where = ", ".join(map(str, paths))
    if inputs.unreadable:
        path, reason = inputs.unreadable[0]
        return f"nothing could be read under {where}; {path}: {reason}"
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in inputs.skipped.most_common(5))
    found = f" (found {kinds})" if kinds else ""
    return f"no text files under {where}{found}; put .txt, .md, .html, .jsonl, .csv, .tsv or .parquet there"


def _too_little(message: str, left_out: list[str]) -> str:
    """The message, and what was left out, which may be the text that the user meant."""
    hint = "; files that are named, or matched by a pattern, are read whatever their names"
    unread = hint if any("by their names" in line for line in left_out) else ""
    return "; ".join([message, *left_out]) + unread


def _stamp(source: Source) -> tuple[int, int, int]:
    status = source.path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _unchanged(
    output: Path, inputs: Inputs, settings: CorpusSettings, paths: Sequence[str | Path]
) -> Corpus | None:
    """Opens the corpus at `output` if it was made from the same bytes with the same settings and version."""
    try:
        corpus = Corpus.open(output)
    except InputError:
        return None
    manifest = corpus.manifest
    if manifest.wenmo != wenmo.__version__ or manifest.settings != settings:
        return None
    if dict(inputs.skipped) != manifest.skipped:
        return None
    refused = [f"{path}: {reason}" for path, reason in inputs.unreadable]
    records = [record for record in manifest.files if record.path]
    if len(records) != len(inputs.sources) or refused != [r.source for r in manifest.files if not r.path]:
        return None
    hashes: dict[Path | RemoteFile, str] = {}
    for record, source in zip(records, inputs.sources, strict=True):
        if record.source != source.label:
            return None
        try:
            if source.label != "<stdin>" and _stamp(source) == (
                record.size,
                record.mtime_ns,
                record.ctime_ns,
            ):
                continue
            digest = hashes.get(source.path) or hash_file(source.path)
        except OSError:
            return None
        hashes[source.path] = digest
        if digest != record.sha256:
            return None
    return corpus


def _plan(
    inputs: Inputs, settings: CorpusSettings, progress: bool
) -> tuple[list[Plan], list[tuple[int, int, int]]]:
    plans: list[Plan] = []
    stamps: list[tuple[int, int, int]] = []
    hashes: dict[Path | RemoteFile, str] = {}
    total = sum(_size(source.path) for source in inputs.sources)
    with track("looking at the files", total, "B", progress) as bar:
        for source in inputs.sources:
            try:
                stamp = _stamp(source)
                if source.path not in hashes:
                    hashes[source.path] = hash_file(source.path)
            except OSError as error:
                plans.append(Plan(source, "", None, "unreadable", error.strerror or str(error)))
                stamps.append((0, 0, 0))
                continue
            plans.append(plan_source(source, hashes[source.path], settings))
            stamps.append(stamp)
            bar.advance(stamp[0])
    return plans, stamps


def _size(path: Path | RemoteFile) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _build(
    inputs: Inputs,
    paths: Sequence[str | Path],
    output: Path,
    work: Path,
    settings: CorpusSettings,
    progress: bool,
) -> None:
    import numpy as np
    import pyarrow as pa

    from wenmo.corpus.collecting import Collector, Tally
    from wenmo.corpus.pipeline import interruptible, run
    from wenmo.corpus.report import write_report
    from wenmo.corpus.writing import CorpusWriter

    plans, stamps = _plan(inputs, settings, progress)
    if settings.text_field and not any(plan.field for plan in plans):
        raise OptionError(
            f"--corpus.text-field {settings.text_field}: none of the files has fields; leave it out, or give "
            ".jsonl, .csv, .tsv or .parquet"
        )
    tally = Tally()
    for file, plan in enumerate(plans):
        if plan.encoding is None:
            tally.drop(file, plan.reason, f"{plan.source.label}: {plan.detail}")
    for number, (path, reason) in enumerate(inputs.unreadable, len(plans)):
        tally.drop(number, "unreadable", f"{path}: {reason}")
    collector = Collector(plans, settings, tally)
    total = sum(stamp[0] for stamp, plan in zip(stamps, plans, strict=True) if plan.encoding is not None)
    staging = work / "staging.arrow"
    with track("reading and cleaning", total, "B", progress) as bar, interruptible(run(plans)) as tables:
        collector.collect(tables, staging, bar)
    _check_tally(plans, tally, settings)
    for plan, stamp in zip(plans, stamps, strict=True):
        if plan.encoding is not None and _stamp(plan.source) != stamp:
            raise InputError(f"{plan.source.label} was changed while it was read; run again")
    sizes = np.array(collector.sizes, np.int64)
    shares = drawn(settings)
    splits_of_files = np.array(
        [SPLITS.index(plan.source.split) if plan.source.split else -1 for plan in plans], np.int8
    )
    assignment = splits_of_files[np.array(collector.files, np.int32)]
    free, digests = assignment < 0, np.array(collector.digests, np.uint64)
    left_out = losses(tally.total(), tally.examples, inputs.skipped)
    try:
        assignment[free] = assign(sizes[free], digests[free], collector.chars, shares)
    except InputError as error:
        raise InputError(_too_little(str(error), left_out)) from None
    labels = [(plan.source.label, plan.source.kind not in ("text", "html")) for plan in plans]
    with atomic_directory(output) as directory:
        writer = CorpusWriter(directory, assignment, sizes, collector.duplicates, labels, shares)
        with (
            track("writing the corpus", int(sizes.sum()), "B", progress) as bar,
            pa.OSFile(str(staging), "rb") as file,
            pa.ipc.open_stream(file) as batches,
        ):
            for batch in batches:
                writer.add(batch)
                bar.advance(batch.nbytes)
        splits = writer.close()
        for name, share in (
            ("train", 1.0),
            ("valid", shares.valid_fraction),
            ("test", shares.test_fraction),
        ):
            if name != "train" and getattr(settings, name) and not splits[name].documents:
                raise InputError(
                    f"no text is left of --corpus.{name} after cleaning; name files with text in it"
                )
            if share and not splits[name].documents:
                few = f"{collector.chars} characters in {len(sizes)} documents"
                message = f"too little text to fill the {name} part: {few}; add text or change --corpus.{name}-fraction"
                raise InputError(_too_little(message, left_out))
        manifest = Manifest(
            format=FORMAT,
            wenmo=wenmo.__version__,
            settings=settings,
            paths=[str(path) for path in paths],
            files=_file_records(plans, stamps, inputs, tally),
            skipped=dict(inputs.skipped),
            dropped=tally.total(),
            examples=dict(tally.examples),
            splits=splits,
            lengths=np.trim_zeros(collector.lengths, "b").tolist(),
            notes=[note for plan in plans for note in plan.notes],
            fingerprint=writer.fingerprint(),
        )
        samples = [sample for split in writer.splits[:1] for sample in split.samples]
        write_report(directory / REPORT, manifest, samples)
        (directory / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")


def _file_records(
    plans: list[Plan], stamps: list[tuple[int, int, int]], inputs: Inputs, tally: object
) -> list[FileRecord]:
    from wenmo.corpus.collecting import Tally

    assert isinstance(tally, Tally)
    records = [
        FileRecord(
            source=plan.source.label,
            path=str(plan.source.path),
            size=stamp[0],
            mtime_ns=stamp[1],
            ctime_ns=stamp[2],
            sha256=plan.sha256,
            encoding=plan.encoding,
            kept=tally.kept[file],
            dropped=dict(tally.dropped[file]) if file in tally.dropped else {},
        )
        for file, (plan, stamp) in enumerate(zip(plans, stamps, strict=True))
    ]
    for path, reason in inputs.unreadable:
        records.append(
            FileRecord(
                source=f"{path}: {reason}",
                path="",
                size=0,
                mtime_ns=0,
                ctime_ns=0,
                sha256="",
                encoding=None,
                kept=0,
                dropped={"unreadable": 1},
            )
        )
    return records


def _check_tally(plans: list[Plan], tally: object, settings: CorpusSettings) -> None:
    """Refuses a file of mostly broken lines, and an input of which nothing is left."""
    from wenmo.corpus.collecting import Tally

    assert isinstance(tally, Tally)
    for file, plan in enumerate(plans):
        dropped: Counter[str] = tally.dropped.get(file, Counter())
        for reason in ("broken JSON", "missing field", "field is not text"):
            if dropped[reason] > tally.kept[file] + dropped["duplicate"] + dropped["empty"]:
                example = next(
                    (place for place in tally.examples[reason] if place.startswith(plan.source.label)), ""
                )
                raise InputError(
                    f"most lines of {plan.source.label} are unusable: {dropped[reason]} times {reason}, "
                    f"first at {example or plan.source.label}; the text is looked for in the field {plan.field!r} "
                    "(--corpus.text-field)"
                )
    if not sum(tally.kept.values()):
        reasons = "; ".join(f"{reason}: {places[0]}" for reason, places in tally.examples.items())
        raise InputError(f"no text is left to learn from ({reasons}); give other files or check the settings")


__all__ = ["WenmoError", "prepare"]
