"""What a course of fine-tuning has come to, in numbers and words."""

from __future__ import annotations

from wenmo.conversation.course import Course
from wenmo.conversation.judging import Likelihood
from wenmo.evaluation.diversity import repetition_warning
from wenmo.evaluation.verdict import BUDGET_ADVICE, overfitting_verdict

METRIC = "bits_per_byte"
COPYING = 0.1
"""A share of copied stretches this much above people's is told."""


def scores_of(course: Course) -> dict[str, float]:
    """Scores of the model on the test conversations."""
    scores = {**likelihood_scores(course.after), "chrf": course.chrf, "nearest_chrf": course.nearest_chrf}
    if course.diversity is not None:
        found = course.diversity.model_dump()
        names = ("distinct_2", "self_bleu", "repeated_4grams", "copied")
        scores |= {name: float(found[name]) for name in names if found[name] is not None}
    return scores


def likelihood_scores(likelihood: Likelihood) -> dict[str, float]:
    """The scores of an answer's likelihood by name."""
    return {METRIC: likelihood.bits_per_byte, "perplexity": likelihood.perplexity}


def baselines_of(course: Course) -> dict[str, dict[str, float]]:
    """Scores of the model before fine-tuning, and of the parts of a mixture, on the same answers."""
    baselines = {"n-gram": likelihood_scores(course.ngram)}
    if course.alone is not None:
        baselines = {"without the n-gram model": likelihood_scores(course.alone), **baselines}
    if course.before is not None:
        baselines = {"before fine-tuning": likelihood_scores(course.before), **baselines}
    return baselines


def signatures_of(course: Course) -> dict[str, str]:
    """How the scores were made."""
    signatures = {
        METRIC: "of the answers alone, given everything said before them; their ends are not counted",
        "chrf": f"chrF2 of {len(course.written)} written answers (sampled, temperature "
        f"{course.generation.temperature:g}) against people's; nearest_chrf is that of copying the answer to the most "
        "similar training question",
        "copied": "share of 24-byte stretches of the written answers that stand in "
        + ("the training answers" if course.searched == 1 else f"one of {course.searched} training answers"),
    }
    base = course.tuned.base
    if base is not None and base.tokenizer.chat_template is None:
        signatures["before fine-tuning"] = "reads the conversation as plain text, one message a line"
    return signatures


def verdict_of(course: Course) -> str:
    """Says in words how good the model is, and whether it copies."""
    score = course.after.bits_per_byte
    sentences = [f"It needs {score:.3f} bits for each byte of answers it has never seen."]
    if course.before is not None:
        share = 1.0 - score / course.before.bits_per_byte
        change = f"{share:.0%} fewer" if share >= 0 else f"{-share:.0%} more"
        sentences.append(
            f"Before fine-tuning the model needed {course.before.bits_per_byte:.3f}: {change} now."
        )
    elif course.ngram.bits_per_byte < score:
        sentences.append(
            f"An n-gram model of the same conversations needs only {course.ngram.bits_per_byte:.3f}: begin with a "
            "model of your raw text (--from), or give more examples."
        )
    if course.diversity is not None and course.human is not None:
        own, people = course.diversity.copied or 0.0, course.human.copied or 0.0
        if own > people + COPYING:
            sentences.append(
                f"It copies: {own:.0%} of what it writes stands in its training answers (people: {people:.0%})."
            )
        else:
            sentences.append(
                f"It does not copy more than people do ({own:.0%} of its text; people {people:.0%})."
            )
        if repeats := repetition_warning(course.diversity, course.human):
            sentences.append(repeats)
    curve = overfitting_verdict([dict(vars(row)) for row in course.tuned.outcome.curve])
    if curve.kind in ("improving", "levelled", "gap", "overfitting"):
        sentences.append(curve.sentence.replace(BUDGET_ADVICE, _advice(course)))
    if len(course.sides.test) < 100:
        sentences.append(f"So few conversations held out ({len(course.sides.test)}) make the scores rough.")
    return " ".join(sentences)


def _advice(course: Course) -> str:
    """What is said of a loss that still fell: more time helps only where passes did not end the training."""
    if course.tuned.plan.steps is None:
        return BUDGET_ADVICE
    return (
        f"It ended after {course.tuned.outcome.epochs:.0f} passes (--epochs); more examples would help most."
    )
